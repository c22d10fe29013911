package rtmp

import (
	"encoding/binary"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
	"github.com/holdfast-live/holdfast/testmedia/faultnet"
	"github.com/holdfast-live/holdfast/testmedia/rtmptest"
)

// encoder is a publisher with a queue of its own, as OBS has one: a writer that waits for TCP,
// and where it adapts, a bitrate that falls to what went out of late when 200 ms stand in the
// queue, in steps of 100 kb/s, and rises by a tenth every four seconds.
type encoder struct {
	p      *rtmptest.Client
	adapts bool
	full   float64 // bits per second that it would like to send

	mu      sync.Mutex // guards what follows
	queue   [][]byte
	rate    float64
	changed time.Time
	sent    int // bytes since counted
	counted time.Time
	frames  uint32 // made so far
	over    bool
	more    chan struct{}
}

const (
	pictureEvery = 40 * time.Millisecond
	gop          = 50 // pictures; a keyframe is as large as eight others
)

func (e *encoder) run(d time.Duration) {
	e.rate, e.changed = e.full, time.Now()
	var writing sync.WaitGroup
	writing.Go(e.write)
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(pictureEvery) {
		e.picture(time.Now())
	}
	e.mu.Lock()
	e.over = true
	e.mu.Unlock()
	e.poke()
	writing.Wait()
}

// answer answers pings, in the order of what is written.
func (e *encoder) answer() {
	for m := range e.p.Got {
		if event, v, _ := wire.ParseUserControl(m.Payload); m.Type == wire.TypeUserControl && event == wire.EventPingRequest {
			e.mu.Lock()
			e.queue = append(e.queue, wire.AppendUserControl(nil, wire.EventPingResponse, v))
			e.mu.Unlock()
			e.poke()
		}
	}
}

func (e *encoder) poke() {
	select {
	case e.more <- struct{}{}:
	default:
	}
}

func (e *encoder) picture(now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	waiting := time.Duration(len(e.queue)) * pictureEvery
	switch {
	case !e.adapts:
	case waiting > 200*time.Millisecond && now.Sub(e.counted) > 500*time.Millisecond:
		out := float64(8*e.sent) / now.Sub(e.counted).Seconds()
		e.rate = min(e.rate, max(100_000, math.Floor(out/100_000)*100_000))
		e.changed, e.counted, e.sent = now, now, 0
	case waiting <= 80*time.Millisecond && now.Sub(e.changed) > 4*time.Second:
		e.rate, e.changed = min(e.rate*1.1, e.full), now
	}
	if now.Sub(e.counted) > time.Second {
		e.counted, e.sent = now, 0
	}
	size := e.rate / 8 * pictureEvery.Seconds() * gop / (gop - 1 + 8)
	head := avcDelta
	if e.frames%gop == 0 {
		size, head = size*8, avcKey
	}
	body := append([]byte{}, head...)
	body = append(body, make([]byte, int(size))...)
	binary.BigEndian.PutUint32(body[5:], uint32(len(body)-9)) // one NAL unit
	h := wire.Header{ChunkStream: 6, Stream: 1, Type: wire.TypeVideo, Timestamp: e.frames * 40}
	e.queue = append(e.queue, wire.AppendMessage(nil, h, wire.DefaultChunkSize, body))
	e.frames++
	e.poke()
}

func (e *encoder) write() {
	for {
		e.mu.Lock()
		var next []byte
		if len(e.queue) > 0 {
			next = e.queue[0]
		}
		over := e.over
		e.mu.Unlock()
		switch {
		case next != nil:
			if _, err := e.p.Conn.Write(next); err != nil {
				return
			}
			e.mu.Lock()
			e.queue = e.queue[1:]
			e.sent += len(next)
			e.mu.Unlock()
		case over:
			return
		default:
			<-e.more
		}
	}
}

// heard is what a stream got of a publisher.
type heard struct {
	mu      sync.Mutex // guards what follows
	packets int
	bytes   int
	gap     time.Duration // the longest between two packets
	last    time.Time
	late    time.Duration // the latest that a packet came
	began   time.Time
}

func (h *heard) take(p *packetbuf.Packet) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	if !h.last.IsZero() {
		h.gap = max(h.gap, now.Sub(h.last))
	}
	h.last = now
	h.packets++
	h.bytes += len(p.Payload)
	h.late = max(h.late, now.Sub(h.began)-p.DTS)
}

// restart begins to count anew, and returns what was heard.
func (h *heard) restart() (bits float64, gap, late time.Duration, packets int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	bits, gap, late, packets = float64(8*h.bytes), h.gap, h.late, h.packets
	h.bytes, h.gap, h.late = 0, 0, 0
	return bits, gap, late, packets
}

// slowed runs f with an encoder that has published over a line with a kernel's buffers.
func slowed(t *testing.T, may bool, f func(t *testing.T, e *encoder, h *heard, s ingest.Limiter)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		shape := faultnet.Shape{Delay: 10 * time.Millisecond, Buffer: 48 << 10}
		n := faultnet.NewNetwork(func(int) faultnet.Options { return faultnet.Options{Up: shape, Down: shape} })
		l, err := n.Listen("relay")
		if err != nil {
			t.Fatal(err)
		}
		h := &heard{}
		a := newAccess()
		serveOn(t, Options{Access: a, SlowPublisher: func(app, name string) bool {
			return may && app == "live" && name == "cam"
		}}, l)
		nc, err := n.DialContext(t.Context(), "", "relay")
		if err != nil {
			t.Fatal(err)
		}
		p := rtmptest.Handshake(t, nc)
		p.Publish("live", "cam")
		sink := <-a.sinks
		var taking sync.WaitGroup
		p.Media(wire.TypeVideo, 0, avcConfig...)
		<-sink.packets
		taking.Go(func() {
			for {
				select {
				case p := <-sink.packets:
					h.take(p)
				case <-sink.ended:
					return
				}
			}
		})
		h.began = time.Now()
		e := &encoder{p: p, full: 3e6, more: make(chan struct{}, 1)}
		go e.answer()
		f(t, e, h, sink.request.Session.(ingest.Limiter))
		_ = nc.Close()
		taking.Wait()
	})
}

// within runs f beside the encoder.
func (e *encoder) within(d time.Duration, f func()) {
	var beside sync.WaitGroup
	beside.Go(f)
	e.run(d)
	beside.Wait()
}

func TestPublisherThatAdaptsSettlesBelowTheCeiling(t *testing.T) {
	slowed(t, true, func(t *testing.T, e *encoder, h *heard, s ingest.Limiter) {
		e.adapts = true
		e.within(3*time.Minute, func() {
			time.Sleep(20 * time.Second)
			h.restart()
			s.Limit(1e6)
			time.Sleep(20 * time.Second)
			_, gap, late, _ := h.restart()
			t.Logf("on the way: gap %v, late %v", gap, late)
			if late > maxLateness+300*time.Millisecond || gap > 500*time.Millisecond {
				t.Errorf("on the way down packets came %v late and %v apart", late, gap)
			}
			time.Sleep(60 * time.Second)
			bits, gap, late, _ := h.restart()
			t.Logf("settled: %.0f bit/s, gap %v, late %v", bits/60, gap, late)
			if bits/60 > 1.05e6 || bits/60 < 0.5e6 {
				t.Errorf("it settled at %.0f bit/s", bits/60)
			}
			if late > maxLateness || gap > 500*time.Millisecond {
				t.Errorf("packets come %v late and %v apart", late, gap)
			}
			s.Limit(0)
			time.Sleep(60 * time.Second)
			h.restart()
			time.Sleep(10 * time.Second)
			bits, gap, late, _ = h.restart()
			if bits/10 < 2.5e6 || late > 200*time.Millisecond {
				t.Errorf("without a ceiling it sends %.0f bit/s, %v late, %v apart", bits/10, late, gap)
			}
		})
	})
}

func TestPublisherThatDoesNotReactIsLetGo(t *testing.T) {
	slowed(t, true, func(t *testing.T, e *encoder, h *heard, s ingest.Limiter) {
		e.within(10*time.Minute, func() {
			time.Sleep(20 * time.Second)
			h.restart()
			s.Limit(1e6)
			late := 0 // seconds in which media was late
			for range 500 {
				time.Sleep(time.Second)
				_, gap, l, _ := h.restart()
				if l > maxLateness+600*time.Millisecond || gap > 500*time.Millisecond {
					t.Errorf("packets came %v late and %v apart", l, gap)
				}
				if l > 200*time.Millisecond {
					late++
				}
			}
			t.Logf("media was late in %d of 500 seconds", late)
			if late == 0 || late > 25 {
				t.Errorf("media was late in %d of 500 seconds", late)
			}
		})
		time.Sleep(time.Second)
		if _, _, _, n := h.restart(); n != int(e.frames) {
			t.Errorf("%d packets of %d came", n, e.frames)
		}
	})
}

func TestPublisherBelowTheCeilingIsNotDelayed(t *testing.T) {
	slowed(t, true, func(t *testing.T, e *encoder, h *heard, s ingest.Limiter) {
		s.Limit(3.6e6)
		e.run(time.Minute)
		time.Sleep(time.Second)
		if _, gap, late, n := h.restart(); late > 60*time.Millisecond || gap > 100*time.Millisecond || n != int(e.frames) {
			t.Errorf("%d packets of %d, %v late, %v apart", n, e.frames, late, gap)
		}
	})
}

func TestPublisherThatMayNotBeSlowed(t *testing.T) {
	slowed(t, false, func(t *testing.T, e *encoder, h *heard, s ingest.Limiter) {
		s.Limit(5e5)
		e.run(time.Minute)
		time.Sleep(time.Second)
		if _, _, late, _ := h.restart(); late > 60*time.Millisecond {
			t.Errorf("packets come %v late", late)
		}
	})
}

// Timestamps that wrap are not late.
func TestDelayWraps(t *testing.T) {
	var d delay
	now := time.Unix(1e9, 0)
	ts := uint32(1<<32 - 5000)
	for i := range 500 {
		if late := d.observe(now.Add(time.Duration(i)*40*time.Millisecond), ts+uint32(i)*40, i > 100); late != 0 {
			t.Fatalf("picture %d is %v late", i, late)
		}
	}
	if late := d.observe(now.Add(500*40*time.Millisecond+time.Second), ts+500*40, true); late != time.Second {
		t.Errorf("%v late, not 1s", late)
	}
}
