//go:build unix

package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/gortmplib/pkg/amf0"
	"github.com/bluenviron/gortmplib/pkg/bytecounter"
	"github.com/bluenviron/gortmplib/pkg/message"
	"github.com/bluenviron/gortmplib/pkg/rawmessage"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
)

// watching yields what a viewer is sent, frame by frame; the config is what came before.
type watching func() (video bool, f codedFrame, err error)

// videoAlone leaves audio out.
func (w watching) videoAlone() watching {
	return func() (bool, codedFrame, error) {
		for {
			if video, f, err := w(); video || err != nil {
				return video, f, err
			}
		}
	}
}

// bodies reads messages by the layout, and those of codecs that gortmplib knows by it too.
func bodies(next func() (*rawmessage.Message, error)) watching {
	return func() (bool, codedFrame, error) {
		for {
			m, err := next()
			if err != nil {
				return false, codedFrame{}, err
			}
			b, video := m.Body, m.Type == typeVideo
			if m.Type != typeVideo && m.Type != typeAudio || len(b) < 5 || b[0]&0x80 == 0 {
				continue
			}
			// gortmplib wants the version of a file's box before VP9's record.
			known := string(b[1:5])
			if known != "fLaC" && known != "ec-3" && known != "vp08" && (known != "vp09" || b[0]&0x0f != 0) {
				if err := understood(m); err != nil {
					return false, codedFrame{}, fmt.Errorf("%x: %w", b[:5], err)
				}
			}
			f := codedFrame{dts: m.Timestamp, key: b[0]>>4&7 == 1, payload: b[5:]}
			switch packet := b[0] & 0x0f; {
			case packet == 1 && string(b[1:5]) == "hvc1":
				f.cto = time.Duration(int32(uint32(b[5])<<24|uint32(b[6])<<16|uint32(b[7])<<8)>>8) * time.Millisecond
				f.payload = b[8:]
			case packet != 1 && (packet != 3 || !video):
				continue
			}
			return video, f, nil
		}
	}
}

// understood reports whether another implementation reads a message.
func understood(m *rawmessage.Message) error {
	var b bytes.Buffer
	if err := rawmessage.NewWriter(&b, bytecounter.NewWriter(&b), false).Write(m); err != nil {
		return err
	}
	got, err := message.NewReader(&b, bytecounter.NewReader(&b), nil).Read()
	if err != nil {
		return err
	}
	switch got.(type) {
	case *message.VideoExSequenceStart, *message.VideoExCodedFrames, *message.VideoExFramesX,
		*message.AudioExSequenceStart, *message.AudioExCodedFrames:
		return nil
	}
	return fmt.Errorf("it is read as %T", got)
}

func playCoded(t testing.TB, r *relay, stream string, more ...amf0.ObjectEntry) (*client, error) {
	t.Helper()
	app, name, _ := strings.Cut(stream, "/")
	c, err := dialClient(t, r.addrs["rtmp"], app, nil, more...)
	if err == nil {
		err = c.open("play", name)
	}
	return c, err
}

// viewersOf are one of each protocol.
func viewersOf(t testing.TB, r *relay, stream string) map[string]watching {
	t.Helper()
	c, err := playCoded(t, r, stream, allCodecs)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get(r.url("http", "/"+stream+".flv?opus=1")) //nolint:bodyclose // with the test
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp, err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	tags := flv.NewReader(resp.Body, 0)
	h := newHLSClient(t, r, stream)
	return map[string]watching{
		"RTMP": bodies(c.read),
		"HTTP-FLV": bodies(func() (*rawmessage.Message, error) {
			tag, err := tags.Next()
			return &rawmessage.Message{Type: tag.Type, ChunkStreamID: 6, Timestamp: time.Duration(tag.Timestamp) * time.Millisecond, Body: tag.Body}, err
		}),
		"HLS": func() (bool, codedFrame, error) {
			for {
				p, err := h.read()
				if err != nil || p.Kind != packetbuf.Config {
					if err != nil {
						return false, codedFrame{}, err
					}
					return p.Track == packetbuf.Video, codedFrame{p.DTS, p.CTO, p.Kind == packetbuf.Key, p.Payload}, nil
				}
			}
		},
	}
}

// same reads until it has seen enough, and holds each frame against what the encoder made: the
// bytes, the offsets, the spacing and where a keyframe is.
func same(watch watching, tracks map[bool]coded, enough int) error {
	type place struct{ at, seen int }
	where := map[bool]*place{}
	var shift time.Duration
	shifted := false
	left := func() bool {
		for video := range tracks {
			if where[video] == nil || where[video].seen < enough {
				return true
			}
		}
		return false
	}
	for left() {
		video, f, err := watch()
		if err != nil {
			return err
		}
		c, ok := tracks[video]
		if !ok {
			return fmt.Errorf("a frame of a track that nobody pushes, video %v", video)
		}
		p := where[video]
		if p == nil {
			p = &place{at: slices.IndexFunc(c.frames, func(o codedFrame) bool { return bytes.Equal(o.payload, f.payload) })}
			if p.at < 0 {
				return fmt.Errorf("%s: the first frame, %d bytes, is none that was made", c.fourCC, len(f.payload))
			}
			where[video] = p
		}
		if p.at >= len(c.frames) {
			return fmt.Errorf("%s: more frames than were made", c.fourCC)
		}
		want := c.frames[p.at]
		if !shifted {
			shift, shifted = f.dts-want.dts, true
		}
		const grid = 22 * time.Millisecond // how far HLS moves sound to where it must follow sound
		if off := f.dts - want.dts - shift; !bytes.Equal(f.payload, want.payload) || video && (f.cto != want.cto || f.key != want.key) || off.Abs() > grid {
			return fmt.Errorf("%s: frame %d is %d bytes, offset %v, key %v, %v off, and not %d, %v, %v", c.fourCC, p.at,
				len(f.payload), f.cto, f.key, off, len(want.payload), want.cto, want.key)
		}
		p.at++
		p.seen++
	}
	return nil
}
