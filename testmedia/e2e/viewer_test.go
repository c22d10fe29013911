//go:build unix

package e2e

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bluenviron/gortmplib/pkg/rawmessage"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// viewer watches a stream until its end and records the frames.
type viewer struct {
	t        testing.TB
	name     string
	external bool // the media is not from gen: only its DTS are checked
	frames   *list[frame]
	leave    func()
	running  sync.WaitGroup

	// Properties of the protocol.
	ignores         [packetbuf.NumTracks]bool
	latency         time.Duration // additional delay of a frame, for protocols that collect frames
	audioShift      time.Duration // how far audio may be shifted to follow other audio without a gap
	resumesExactly  bool          // resumes at the exact position
	wire            *wire         // nil: reads cannot be paused
	cut             func()        // breaks the connection; the viewer reconnects
	resumeModes     *list[string] // mode of each resume
	discontinuities func() int    // number of discontinuities announced; call it after the viewer has ended

	// The fields below belong to the reading goroutine.
	tally *gen.Tally
	key   []byte // the newest keyframe
	video time.Duration
	last  [packetbuf.NumTracks]time.Duration // DTS of external media
}

// frame is a frame that a viewer has received.
type frame struct {
	track  packetbuf.Track
	config bool
	key    bool
	filler bool
	id     gen.ID
	dts    time.Duration
	pts    time.Duration
	at     time.Time
}

func (v *viewer) start(read func() (*packetbuf.Packet, error), leave func()) {
	v.leave = leave
	v.tally, v.frames, v.resumeModes = gen.NewTally(), newList[frame](), newList[string]()
	v.running.Go(func() {
		for {
			p, err := read()
			if err == nil && p != nil {
				p.Arrived = time.Now()
				err = v.check(p)
			}
			if err != nil {
				v.frames.close(err)
				return
			}
		}
	})
	v.t.Cleanup(func() {
		v.leave()
		v.running.Wait()
	})
}

// recordResume records how the viewer resumed. If it was not exact, the viewer may receive frames again.
func (v *viewer) recordResume(how string) {
	if how != "exact" {
		v.tally = gen.NewTally()
	}
	v.resumeModes.add(how)
}

// check checks a packet and records it.
func (v *viewer) check(p *packetbuf.Packet) error {
	f := frame{
		track: p.Track, config: p.Kind == packetbuf.Config, key: p.Kind == packetbuf.Key,
		dts: p.DTS, pts: p.PTS(), at: p.Arrived,
	}
	if v.external && p.Media() {
		if last := v.last[p.Track]; p.DTS <= last && last != 0 {
			return fmt.Errorf("%s viewer: got %s at %v after %v", v.name, p.Track, p.DTS, last)
		}
		v.last[p.Track] = p.DTS
	} else if p.Media() {
		if p.Track == packetbuf.Video {
			p.Payload = withoutParameterSets(p.Payload)
		}
		if v.isFiller(p) {
			f.filler = true
			p.Flags |= packetbuf.Filler
		} else if id, err := gen.Identify(p); err == nil {
			f.id = id
		}
		if err := v.tally.Add(p); err != nil {
			return fmt.Errorf("%s viewer: %w", v.name, err)
		}
		if p.Track == packetbuf.Video {
			v.video = p.DTS
			if f.key {
				v.key = p.Payload
			}
		}
	}
	v.frames.add(f)
	return nil
}

// isFiller reports whether the relay generated the frame while the publisher was away: silence, a small
// frame without a number, or the newest keyframe again at least a second after the last frame.
func (v *viewer) isFiller(p *packetbuf.Packet) bool {
	if p.Track == packetbuf.Audio {
		return len(p.Payload) < 16
	}
	if _, err := gen.Identify(p); err != nil && p.Kind != packetbuf.Key && len(p.Payload) < 128 {
		return true
	}
	return p.Kind == packetbuf.Key && bytes.Equal(p.Payload, v.key) && p.DTS-v.video >= time.Second
}

// withoutParameterSets removes SPS and PPS from the front of an access unit. The relay repeats them where
// the configuration has changed.
func withoutParameterSets(au []byte) []byte {
	for len(au) > 4 {
		kind, size := au[4]&0x1f, int(binary.BigEndian.Uint32(au))
		if kind != 7 && kind != 8 || len(au) < 4+size {
			break
		}
		au = au[4+size:]
	}
	return au
}

// watchRTMP plays a stream over RTMP. It plays again when its connection is cut.
func watchRTMP(t testing.TB, r *relay, stream string) *viewer {
	t.Helper()
	w := newWire(t)
	v := &viewer{t: t, name: "RTMP", wire: w, cut: w.cut}
	open := func() (*client, error) {
		c, err := openClient(t, r.addrs["rtmp"], "play", stream, nil)
		if err == nil {
			w.addConn(c.conn)
		}
		return c, err
	}
	c, err := open()
	if err != nil {
		t.Fatalf("play: %v", err)
	}
	v.start(func() (*packetbuf.Packet, error) {
		if err := w.waitReadable(); err != nil {
			return nil, err
		}
		m, err := c.read()
		if err != nil && w.ctx.Err() == nil && w.takeCut() {
			c, err = open()
			for err != nil && w.ctx.Err() == nil && w.takeCut() {
				c, err = open()
			}
			if err == nil {
				v.recordResume("keyframe")
				return nil, nil
			}
		}
		if err != nil {
			return nil, err
		}
		return packetOf(m)
	}, w.leave)
	return v
}

// watchClient watches on a client that has started to play. With external, the media is not from gen.
func watchClient(t testing.TB, c *client, foreign bool) *viewer {
	v := &viewer{t: t, name: "RTMP", external: foreign}
	v.start(func() (*packetbuf.Packet, error) {
		m, err := c.read()
		if err != nil {
			return nil, err
		}
		return packetOf(m)
	}, func() { _ = c.conn.Close() })
	return v
}

// packetOf parses the body of a message without the relay's code.
func packetOf(m *rawmessage.Message) (*packetbuf.Packet, error) {
	p := &packetbuf.Packet{DTS: m.Timestamp, Kind: packetbuf.Delta}
	b := m.Body
	switch {
	case m.Type == typeVideo && len(b) >= 5:
		p.Track, p.Codec = packetbuf.Video, packetbuf.H264
		p.CTO = time.Duration(int32(uint32(b[2])<<24|uint32(b[3])<<16|uint32(b[4])<<8)>>8) * time.Millisecond
		if b[0]>>4 == 1 {
			p.Kind = packetbuf.Key
		}
		if b[1] == 0 {
			p.Kind = packetbuf.Config
		}
		p.Payload = b[5:]
	case m.Type == typeAudio && len(b) >= 2 && b[0]>>4 == 10:
		p.Track, p.Codec = packetbuf.Audio, packetbuf.AAC
		if b[1] == 0 {
			p.Kind = packetbuf.Config
		}
		p.Payload = b[2:]
	case m.Type == typeAudio && len(b) >= 1 && b[0]>>4 == 2:
		p.Track, p.Codec, p.Payload = packetbuf.Audio, packetbuf.MP3, b[1:]
	case m.Type == typeData:
		p.Track, p.Codec, p.Kind, p.Payload = packetbuf.Data, packetbuf.AMF0, packetbuf.Config, b
	case m.Type == typeCommand, m.Type == typeControl:
		return nil, nil
	default:
		return nil, fmt.Errorf("got a message of type %d with %d bytes", m.Type, len(b))
	}
	return p, nil
}

// watchRTMPAndFLV returns the two viewers of most stories.
func watchRTMPAndFLV(t testing.TB, r *relay, stream string) []*viewer {
	t.Helper()
	waitUntilWithin(t, waitLimit, "a live stream", func() bool {
		var shown struct{ State string }
		r.getStream(stream, &shown)
		return shown.State != "idle"
	})
	return []*viewer{watchRTMP(t, r, stream), watchFLV(t, r, stream)}
}

// waitFrame waits for a frame of a push.
func (v *viewer) waitFrame(id gen.ID) frame {
	v.t.Helper()
	_, f, err := v.frames.waitFor(waitContext(v.t), 0, func(f frame) bool { return f.id == id && !f.config && !f.filler })
	if err != nil {
		v.t.Fatalf("%s viewer: wait for frame %+v: %v", v.name, id, err)
	}
	return f
}

// waitKeyframe waits for the viewer's first keyframe.
func (v *viewer) waitKeyframe() frame {
	v.t.Helper()
	_, f, err := v.frames.waitFor(waitContext(v.t), 0, func(f frame) bool { return f.key })
	if err != nil {
		v.t.Fatalf("%s viewer: wait for a keyframe: %v", v.name, err)
	}
	return f
}

// waitFrames waits for n more frames.
func (v *viewer) waitFrames(n int) {
	v.t.Helper()
	if _, _, err := v.frames.waitFor(waitContext(v.t), v.frames.len()+n-1, func(frame) bool { return true }); err != nil {
		v.t.Fatalf("%s viewer: wait for %d more frames: %v", v.name, n, err)
	}
}

// checkOpen checks that the viewer is still playing.
func (v *viewer) checkOpen() {
	v.t.Helper()
	if err := v.frames.closeErr(); err != nil {
		v.t.Errorf("%s viewer ended: %v", v.name, err)
	}
}

// checkEnd waits for the end of the viewer's stream and checks that it was clean.
func (v *viewer) checkEnd() {
	v.t.Helper()
	if err := v.frames.waitClosed(waitContext(v.t)); err != nil {
		v.t.Errorf("%s viewer: %v", v.name, err)
		return
	}
	if err := v.frames.closeErr(); !errors.Is(err, io.EOF) && !errors.Is(err, errListClosed) {
		v.t.Errorf("%s viewer: got end %v, want EOF", v.name, err)
	}
}

// framesFrom returns the frames received from a push, in order and without filler.
func (v *viewer) framesFrom(source uint32) []frame {
	var out []frame
	for _, f := range v.frames.all() {
		if f.track != packetbuf.Data && !f.config && !f.filler && f.id.Source == source {
			out = append(out, f)
		}
	}
	return out
}

// metric returns the value of a series of the relay. The series is given with its labels, as in the
// exposition format.
func (r *relay) metric(series string) float64 {
	r.t.Helper()
	return r.metrics(series)[series]
}

// metrics returns the values of several series at one moment.
func (r *relay) metrics(series ...string) map[string]float64 {
	r.t.Helper()
	values := map[string]float64{}
	for l := range strings.Lines(fetch(r.t, r.url("admin", "/metrics"))) {
		at := strings.LastIndexByte(l, ' ')
		if at < 0 || !slices.Contains(series, l[:at]) {
			continue
		}
		var f float64
		if _, err := fmt.Sscan(l[at:], &f); err != nil {
			r.t.Fatalf("parse metric %s: %v", l, err)
		}
		values[l[:at]] = f
	}
	for _, one := range series {
		if _, ok := values[one]; !ok {
			r.t.Fatalf("no series %s", one)
		}
	}
	return values
}
