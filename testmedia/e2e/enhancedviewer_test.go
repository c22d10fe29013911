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

// frameReader returns the next frame that a viewer receives. Configuration is not returned.
type frameReader func() (video bool, f codedFrame, err error)

// videoOnly skips audio.
func (w frameReader) videoOnly() frameReader {
	return func() (bool, codedFrame, error) {
		for {
			if video, f, err := w(); video || err != nil {
				return video, f, err
			}
		}
	}
}

// readBodies parses messages by their layout. It also parses those of codecs that gortmplib supports with
// gortmplib.
func readBodies(next func() (*rawmessage.Message, error)) frameReader {
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
			// gortmplib requires the version of the file's box in front of VP9's configuration.
			known := string(b[1:5])
			if known != "fLaC" && known != "ec-3" && known != "vp08" && (known != "vp09" || b[0]&0x0f != 0) {
				if err := checkReadable(m); err != nil {
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

// checkReadable checks that another implementation can parse a message.
func checkReadable(m *rawmessage.Message) error {
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
	return fmt.Errorf("got %T, want a message of Enhanced RTMP", got)
}

func dialPlayer(t testing.TB, r *relay, stream string, more ...amf0.ObjectEntry) (*client, error) {
	t.Helper()
	app, name, _ := strings.Cut(stream, "/")
	c, err := dialClient(t, r.addrs["rtmp"], app, nil, more...)
	if err == nil {
		err = c.open("play", name)
	}
	return c, err
}

// readersOf returns one frameReader for each protocol.
func readersOf(t testing.TB, r *relay, stream string) map[string]frameReader {
	t.Helper()
	c, err := dialPlayer(t, r, stream, allCodecs)
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
	return map[string]frameReader{
		"RTMP": readBodies(c.read),
		"HTTP-FLV": readBodies(func() (*rawmessage.Message, error) {
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

// compareFrames reads enough frames of each track and compares them with the encoder's: content,
// composition offset, spacing and keyframes.
func compareFrames(watch frameReader, tracks map[bool]codedTrack, enough int) error {
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
			return fmt.Errorf("got a frame of a track that was not pushed, video %v", video)
		}
		p := where[video]
		if p == nil {
			p = &place{at: slices.IndexFunc(c.frames, func(o codedFrame) bool { return bytes.Equal(o.payload, f.payload) })}
			if p.at < 0 {
				return fmt.Errorf("%s: the first frame of %d bytes was not pushed", c.fourCC, len(f.payload))
			}
			where[video] = p
		}
		if p.at >= len(c.frames) {
			return fmt.Errorf("%s: got more frames than were pushed", c.fourCC)
		}
		want := c.frames[p.at]
		if !shifted {
			shift, shifted = f.dts-want.dts, true
		}
		const grid = 22 * time.Millisecond // how far HLS shifts audio to follow other audio
		if off := f.dts - want.dts - shift; !bytes.Equal(f.payload, want.payload) || video && (f.cto != want.cto || f.key != want.key) || off.Abs() > grid {
			return fmt.Errorf("%s: frame %d: got %d bytes, offset %v, key %v, %v off, want %d bytes, offset %v, key %v", c.fourCC, p.at,
				len(f.payload), f.cto, f.key, off, len(want.payload), want.cto, want.key)
		}
		p.at++
		p.seen++
	}
	return nil
}
