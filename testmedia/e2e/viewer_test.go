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

// viewer watches a stream to its end and keeps what it sees.
type viewer struct {
	t       testing.TB
	name    string
	foreign bool // the media is not made by gen: only its decode times are checked
	frames  *list[frame]
	leave   func()
	running sync.WaitGroup

	// What else the protocol is like.
	deaf   [packetbuf.NumTracks]bool
	behind time.Duration // how long a frame may take, for what a protocol gathers
	grid   time.Duration // how far sound may move where it must follow sound without a gap
	exact  bool          // it comes back to where it was
	line   *wire         // nil: it cannot stop reading
	cut    func()        // breaks its line; it comes back by itself
	ways   *list[string] // how it was resumed, each time
	breaks func() int    // discontinuities that it was told of; once it has left

	// What follows is the reading goroutine's.
	tally *gen.Tally
	key   []byte // the newest keyframe
	video time.Duration
	last  [packetbuf.NumTracks]time.Duration // DTS of foreign media
}

// frame is one that a viewer has received.
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
	v.tally, v.frames, v.ways = gen.NewTally(), newList[frame](), newList[string]()
	v.running.Go(func() {
		for {
			p, err := read()
			if err == nil && p != nil {
				p.Arrived = time.Now()
				err = v.note(p)
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

// resumed notes how the viewer came back. Where that is afresh, it may see frames again.
func (v *viewer) resumed(how string) {
	if how != "exact" {
		v.tally = gen.NewTally()
	}
	v.ways.add(how)
}

// note checks a packet and keeps it.
func (v *viewer) note(p *packetbuf.Packet) error {
	f := frame{
		track: p.Track, config: p.Kind == packetbuf.Config, key: p.Kind == packetbuf.Key,
		dts: p.DTS, pts: p.PTS(), at: p.Arrived,
	}
	if v.foreign && p.Media() {
		if last := v.last[p.Track]; p.DTS <= last && last != 0 {
			return fmt.Errorf("%s viewer: %s at %v after %v", v.name, p.Track, p.DTS, last)
		}
		v.last[p.Track] = p.DTS
	} else if p.Media() {
		if p.Track == packetbuf.Video {
			p.Payload = withoutParameterSets(p.Payload)
		}
		if v.made(p) {
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

// made tells whether the relay made the frame while the publisher was away: silence or a small
// picture without a number, or the newest keyframe again, no sooner than a second after the
// last picture.
func (v *viewer) made(p *packetbuf.Packet) bool {
	if p.Track == packetbuf.Audio {
		return len(p.Payload) < 16
	}
	if _, err := gen.Identify(p); err != nil && p.Kind != packetbuf.Key && len(p.Payload) < 128 {
		return true
	}
	return p.Kind == packetbuf.Key && bytes.Equal(p.Payload, v.key) && p.DTS-v.video >= time.Second
}

// withoutParameterSets takes SPS and PPS from the front of an access unit: the relay repeats
// them where the configuration has changed.
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

// watchRTMP plays a stream over RTMP, and again where its line was cut.
func watchRTMP(t testing.TB, r *relay, stream string) *viewer {
	t.Helper()
	w := newWire(t)
	v := &viewer{t: t, name: "RTMP", line: w, cut: w.cut}
	open := func() (*client, error) {
		c, err := openOn(t, r.addrs["rtmp"], "play", stream, nil)
		if err == nil {
			w.adopt(c.conn)
		}
		return c, err
	}
	c, err := open()
	if err != nil {
		t.Fatalf("play: %v", err)
	}
	v.start(func() (*packetbuf.Packet, error) {
		if err := w.reading(); err != nil {
			return nil, err
		}
		m, err := c.read()
		if err != nil && w.ctx.Err() == nil && w.wasCut() {
			c, err = open()
			for err != nil && w.ctx.Err() == nil && w.wasCut() {
				c, err = open()
			}
			if err == nil {
				v.resumed("keyframe")
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

// watchClient watches what was opened for play. Media that gen did not make is foreign.
func watchClient(t testing.TB, c *client, foreign bool) *viewer {
	v := &viewer{t: t, name: "RTMP", foreign: foreign}
	v.start(func() (*packetbuf.Packet, error) {
		m, err := c.read()
		if err != nil {
			return nil, err
		}
		return packetOf(m)
	}, func() { _ = c.conn.Close() })
	return v
}

// packetOf reads the body of a message without the relay's own code.
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
		return nil, fmt.Errorf("message of type %d and %d bytes", m.Type, len(b))
	}
	return p, nil
}

// both are the viewers of most stories.
func both(t testing.TB, r *relay, stream string) []*viewer {
	t.Helper()
	untilWithin(t, patience, "a live stream", func() bool {
		var shown struct{ State string }
		r.shows(stream, &shown)
		return shown.State != "idle"
	})
	return []*viewer{watchRTMP(t, r, stream), watchFLV(t, r, stream)}
}

// saw waits for a frame of a push.
func (v *viewer) saw(id gen.ID) frame {
	v.t.Helper()
	_, f, err := v.frames.next(within(v.t), 0, func(f frame) bool { return f.id == id && !f.config && !f.filler })
	if err != nil {
		v.t.Fatalf("%s viewer: frame %+v: %v", v.name, id, err)
	}
	return f
}

// joins waits for the viewer's first keyframe.
func (v *viewer) joins() frame {
	v.t.Helper()
	_, f, err := v.frames.next(within(v.t), 0, func(f frame) bool { return f.key })
	if err != nil {
		v.t.Fatalf("%s viewer: no keyframe: %v", v.name, err)
	}
	return f
}

// more waits for n more frames.
func (v *viewer) more(n int) {
	v.t.Helper()
	if _, _, err := v.frames.next(within(v.t), v.frames.len()+n-1, func(frame) bool { return true }); err != nil {
		v.t.Fatalf("%s viewer: %d more frames: %v", v.name, n, err)
	}
}

// watching asserts that the viewer is still there.
func (v *viewer) watching() {
	v.t.Helper()
	if err := v.frames.ended(); err != nil {
		v.t.Errorf("%s viewer left: %v", v.name, err)
	}
}

// ends waits for the viewer's stream to end and asserts that it does so cleanly.
func (v *viewer) ends() {
	v.t.Helper()
	if err := v.frames.over(within(v.t)); err != nil {
		v.t.Errorf("%s viewer: %v", v.name, err)
		return
	}
	if err := v.frames.ended(); !errors.Is(err, io.EOF) && !errors.Is(err, errOver) {
		v.t.Errorf("%s viewer ended with %v", v.name, err)
	}
}

// seen are the real frames of a push, in order.
func (v *viewer) seen(source uint32) []frame {
	var out []frame
	for _, f := range v.frames.all() {
		if f.track != packetbuf.Data && !f.config && !f.filler && f.id.Source == source {
			out = append(out, f)
		}
	}
	return out
}

// metric is the value of a series of the relay; the series as it is written, with labels.
func (r *relay) metric(series string) float64 {
	r.t.Helper()
	return r.metrics(series)[series]
}

// metrics are the values of some series at one moment.
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
			r.t.Fatalf("%s: %v", l, err)
		}
		values[l[:at]] = f
	}
	for _, one := range series {
		if _, ok := values[one]; !ok {
			r.t.Fatalf("there is no series %s", one)
		}
	}
	return values
}
