package rtmp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
)

func commandMessage(stream uint32, payload []byte) []byte {
	return wire.AppendMessage(nil, wire.Header{ChunkStream: 3, Stream: stream, Type: wire.TypeCommandAMF0}, wire.DefaultChunkSize, payload)
}

// attacks are what ended, stalled or bloated a bare go-rtmp.
var attacks = map[string]func(p *peer){
	"strict array of 2^31-1 values in connect": func(p *peer) {
		b := wire.AppendAMF(nil, wire.String("connect"), wire.Number(1))
		b = append(b, 3, 0, 1, 'a', 10, 0x7f, 0xff, 0xff, 0xff)
		p.send(commandMessage(0, b))
	},
	"4 MB of nested objects": func(p *peer) {
		b := wire.AppendAMF(nil, wire.String("connect"), wire.Number(1))
		p.send(commandMessage(0, append(b, bytes.Repeat([]byte{3, 0, 1, 'a'}, 1<<20)...)))
	},
	"64 KB of nested objects": func(p *peer) {
		b := wire.AppendAMF(nil, wire.String("connect"), wire.Number(1))
		p.send(commandMessage(0, append(b, bytes.Repeat([]byte{3, 0, 1, 'a'}, 15<<10)...)))
	},
	"4,000 createStream": func(p *peer) {
		p.connect("live")
		for range 4000 {
			p.call(0, "createStream", wire.Null{})
		}
	},
	"createStream and deleteStream for ever": func(p *peer) {
		p.connect("live")
		for range 2000 {
			p.call(0, "createStream", wire.Null{})
			p.call(0, "deleteStream", wire.Null{}, wire.Number(1))
		}
	},
	"256 chunk streams with unfinished messages": func(p *peer) {
		p.send(wire.AppendSetChunkSize(nil, 1<<20))
		for id := range uint32(256) {
			h := wire.Header{ChunkStream: 3 + id, Stream: 1, Type: wire.TypeVideo}
			whole := wire.AppendMessage(nil, h, 1<<20, make([]byte, 60<<10))
			p.send(whole[:len(whole)-1])
		}
	},
	"zero-length messages": func(p *peer) {
		p.connect("live")
		for _, typ := range []uint8{wire.TypeVideo, wire.TypeAudio, wire.TypeDataAMF0, wire.TypeAggregate, wire.TypeCommandAMF0} {
			p.send(wire.AppendMessage(nil, wire.Header{ChunkStream: 4, Type: typ}, 128))
		}
	},
	"a chunk stream id of three bytes": func(p *peer) {
		for _, id := range []uint32{64, 319, 320, 65599} {
			p.send(wire.AppendMessage(nil, wire.Header{ChunkStream: id, Type: wire.TypeCommandAMF0}, 128, []byte{2}))
		}
	},
	"a flood of pings": func(p *peer) {
		p.connect("live")
		for range 20000 {
			p.send(wire.AppendUserControl(nil, wire.EventPingRequest, 1))
		}
	},
	"answers to calls that nobody made": func(p *peer) {
		p.connect("live")
		p.send(commandMessage(0, wire.AppendCommand(nil, wire.Command{Name: "_result", Transaction: 9, Args: []wire.Value{wire.Null{}}})))
		p.send(commandMessage(7, wire.AppendCommand(nil, wire.Command{Name: "_error", Args: nil})))
	},
	"publish on a stream that does not exist": func(p *peer) {
		p.connect("live")
		p.call(7, "publish", wire.Null{}, wire.String("cam"))
	},
	"deleteStream of anything": func(p *peer) {
		p.connect("live")
		for _, v := range []wire.Value{wire.Number(-1), wire.Number(1e300), wire.Number(0), wire.Number(5), wire.String("1"), wire.Null{}} {
			p.call(0, "deleteStream", wire.Null{}, v)
		}
	},
	"commands with the wrong arguments": func(p *peer) {
		p.connect("live")
		p.call(0, "createStream")
		for _, name := range []string{"publish", "play", "FCPublish", "releaseStream", "pause", "seek", "closeStream", "deleteStream", "receiveAudio"} {
			p.call(1, name)
			p.call(1, name, wire.Undefined{}, wire.Object{}, wire.StrictArray{})
		}
	},
	"not RTMP": func(p *peer) { p.send([]byte("GET / HTTP/1.1\r\n\r\n")) },
	"chunk size 1 and a long message": func(p *peer) {
		p.send(wire.AppendSetChunkSize(nil, 1))
		p.send(wire.AppendMessage(nil, wire.Header{ChunkStream: 3, Type: wire.TypeVideo}, 1, make([]byte, 50<<10)))
	},
	"timestamps at every edge": func(p *peer) {
		p.publish("live", "evil")
		for _, ts := range []uint32{0, 0xfffffe, 0xffffff, 0x1000000, 0xffffffff, 0} {
			p.media(wire.TypeVideo, ts, slices.Concat(avcConfig, make([]byte, 300))...)
		}
	},
}

// Whatever one connection does, a publisher beside it goes on, and memory stays where it
// was.
func TestHostilePeers(t *testing.T) {
	access := newAccess()
	srv, addr := serveTCP(t, Options{Access: access, Plays: newPlays(), HandshakeTimeout: time.Second})
	dial := func(t *testing.T) *peer {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		return shake(t, nc)
	}
	good := dial(t)
	good.publish("live", "good")
	sink := wait(t, "sink", access.sinks)
	good.media(wire.TypeVideo, 0, avcConfig...)
	wait(t, "packet", sink.packets)
	for name, attack := range attacks {
		t.Run(name, func(t *testing.T) {
			attackOn(t, attack, addr)
			good.media(wire.TypeVideo, 40, avcKey...)
			if p := wait(t, "packet of the good publisher", sink.packets); p.Kind != packetbuf.Key {
				t.Error(p.Kind)
			}
		})
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if m.HeapAlloc > 64<<20 {
		t.Errorf("%d MB on the heap", m.HeapAlloc>>20)
	}
	if n := srv.Connections(); n < 1 {
		t.Error("the good publisher is gone")
	}
}

// attackOn runs an attack, which may find its connection closed at any moment.
func attackOn(t *testing.T, attack func(*peer), addr string) {
	defer func() { _ = recover() }() // what quiet throws
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close() //nolint:errcheck // a test
	_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
	p := shake(quiet{t}, nc)
	attack(p)
}

// quiet makes a failure of an attacker an end of the attack, not of the test.
type quiet struct{ testing.TB }

func (q quiet) Fatal(args ...any)            { panic(args) }
func (q quiet) Fatalf(f string, args ...any) { panic(f) }
func (q quiet) Logf(string, ...any)          {}

// A message that claims 8 MB costs what has come of it, admitted or not.
func TestClaimsCostNothing(t *testing.T) {
	access := newAccess()
	_, addr := serveTCP(t, Options{Access: access})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var peers []*peer
	for range 50 {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		p := shake(t, nc)
		p.publish("live", "cam")
		for id := range byte(20) {
			p.send(append([]byte{10 + id, 0, 0, 0, 0x7f, 0, 0, wire.TypeVideo, 1, 0, 0, 0}, make([]byte, 128)...))
		}
		p.send(wire.AppendUserControl(nil, wire.EventPingRequest, 7))
		for m := range p.got { // until all of it has been read
			if event, _, _ := wire.ParseUserControl(m.Payload); m.Type == wire.TypeUserControl && event == wire.EventPingResponse {
				break
			}
		}
		peers = append(peers, p)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	// 20 headers claim 160 MB on each of 50 connections; the test itself takes 300 KB.
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 50*(600<<10) {
		t.Errorf("%d KB a connection", grown/50>>10)
	}
	for _, p := range peers {
		_ = p.nc.Close()
	}
}

func TestPingFloodIsAnsweredWithinARate(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, w *world) {
		p := shake(t, w.l.dial())
		p.publish("live", "cam")
		for range 1000 {
			p.send(wire.AppendUserControl(nil, wire.EventPingRequest, 1))
		}
		p.call(0, "getStreamLength", wire.Null{}, wire.String("cam"))
		pongs := 0
		for m := range p.got {
			if event, _, _ := wire.ParseUserControl(m.Payload); m.Type == wire.TypeUserControl && event == wire.EventPingResponse {
				pongs++
			}
			if m.Type == wire.TypeCommandAMF0 && bytes.Contains(m.Payload, []byte("_result")) {
				break
			}
		}
		if pongs == 0 || pongs > 20 {
			t.Errorf("%d answers", pongs)
		}
	})
}

func TestLimitsOnConnections(t *testing.T) {
	var mu sync.Mutex
	refused := 0
	o := Options{Access: newAccess(), Slots: ingest.NewSlots(3, 2), Refused: func(out ingest.Outcome) {
		mu.Lock()
		defer mu.Unlock()
		if out == ingest.RefusedLimit {
			refused++
		}
	}}
	_, addr := serveTCP(t, o)
	dial := func() *peer {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		return shake(t, nc)
	}
	a, b := dial(), dial()
	a.connect("live")
	b.connect("live")
	c := dial()
	c.call(0, "connect", wire.Object{{Key: "app", Value: wire.String("live")}})
	if code, why := infoOf(c.command("_error")); code != "NetConnection.Connect.Rejected" || !strings.Contains(why, "address") {
		t.Error(code, why)
	}
	if err := wait(t, "close", c.done); !errors.Is(err, io.EOF) {
		t.Errorf("%v: the last words could have been lost", err)
	}
	_ = a.nc.Close()
	wait(t, "close", a.done)
	for o.Slots.Used() > 1 {
		runtime.Gosched()
	}
	dial().connect("live")
	mu.Lock()
	defer mu.Unlock()
	if refused != 1 {
		t.Errorf("%d refused", refused)
	}
}

// A panic ends its own connection, with its stack in the log.
func TestPanics(t *testing.T) {
	tests := map[string]func(o *Options, a *fakeAccess) func(p *peer){
		"in Publish": func(_ *Options, a *fakeAccess) func(p *peer) {
			a.decide = func(r ingest.Request) error {
				if r.Name == "bad" {
					panic("ouch")
				}
				return nil
			}
			return func(p *peer) {
				p.connect("live")
				p.call(0, "createStream", wire.Null{})
				p.call(1, "publish", wire.Null{}, wire.String("bad"))
			}
		},
		"in Write": func(_ *Options, a *fakeAccess) func(p *peer) {
			a.write = func(s *fakeSink, _ *packetbuf.Packet) error {
				if s.request.Name == "bad" {
					panic("ouch")
				}
				return nil
			}
			return func(p *peer) {
				p.publish("live", "bad")
				p.media(wire.TypeVideo, 0, avcConfig...)
			}
		},
		"in Play": func(o *Options, _ *fakeAccess) func(p *peer) {
			o.Plays = playFunc(func(context.Context, PlayRequest, *PlayConn) error { panic("ouch") })
			return func(p *peer) { p.startPlay("live", "bad") }
		},
	}
	for name, prepare := range tests {
		t.Run(name, func(t *testing.T) {
			lines, access := &logs{}, newAccess()
			o := Options{Access: access, Log: lines.logger()}
			attack := prepare(&o, access)
			_, l := serve(t, o)
			good := shake(t, l.dial())
			good.publish("live", "good")
			sink := wait(t, "sink", access.sinks)
			bad := shake(t, l.dial())
			attack(bad)
			wait(t, "close", bad.done)
			good.media(wire.TypeVideo, 0, avcConfig...)
			wait(t, "packet", sink.packets)
			if out := lines.String(); !strings.Contains(out, "ouch") || !strings.Contains(out, "hostile_test.go") || !strings.Contains(out, "internal error; session ended, relay goes on") {
				t.Errorf("log:\n%s", out)
			}
		})
	}
}
