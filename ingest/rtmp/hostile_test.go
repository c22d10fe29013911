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
	"github.com/holdfast-live/holdfast/ingest/rtmpconn"
	"github.com/holdfast-live/holdfast/packetbuf"
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
	"github.com/holdfast-live/holdfast/testmedia/rtmptest"
)

// attacks ended, stalled or bloated the server of go-rtmp.
var attacks = map[string]func(p *rtmptest.Client){
	"strict array of 2^31-1 values in connect": func(p *rtmptest.Client) {
		b := wire.AppendAMF(nil, wire.String("connect"), wire.Number(1))
		b = append(b, 3, 0, 1, 'a', 10, 0x7f, 0xff, 0xff, 0xff)
		p.Send(rtmptest.CommandMessage(0, b))
	},
	"4 MB of nested objects": func(p *rtmptest.Client) {
		b := wire.AppendAMF(nil, wire.String("connect"), wire.Number(1))
		p.Send(rtmptest.CommandMessage(0, append(b, bytes.Repeat([]byte{3, 0, 1, 'a'}, 1<<20)...)))
	},
	"64 KB of nested objects": func(p *rtmptest.Client) {
		b := wire.AppendAMF(nil, wire.String("connect"), wire.Number(1))
		p.Send(rtmptest.CommandMessage(0, append(b, bytes.Repeat([]byte{3, 0, 1, 'a'}, 15<<10)...)))
	},
	"4,000 createStream": func(p *rtmptest.Client) {
		p.Connect("live")
		for range 4000 {
			p.Call(0, "createStream", wire.Null{})
		}
	},
	"createStream and deleteStream for ever": func(p *rtmptest.Client) {
		p.Connect("live")
		for range 2000 {
			p.Call(0, "createStream", wire.Null{})
			p.Call(0, "deleteStream", wire.Null{}, wire.Number(1))
		}
	},
	"256 chunk streams with unfinished messages": func(p *rtmptest.Client) {
		p.Send(wire.AppendSetChunkSize(nil, 1<<20))
		for id := range uint32(256) {
			h := wire.Header{ChunkStream: 3 + id, Stream: 1, Type: wire.TypeVideo}
			whole := wire.AppendMessage(nil, h, 1<<20, make([]byte, 60<<10))
			p.Send(whole[:len(whole)-1])
		}
	},
	"zero-length messages": func(p *rtmptest.Client) {
		p.Connect("live")
		for _, typ := range []uint8{wire.TypeVideo, wire.TypeAudio, wire.TypeDataAMF0, wire.TypeAggregate, wire.TypeCommandAMF0} {
			p.Send(wire.AppendMessage(nil, wire.Header{ChunkStream: 4, Type: typ}, 128))
		}
	},
	"a chunk stream id of three bytes": func(p *rtmptest.Client) {
		for _, id := range []uint32{64, 319, 320, 65599} {
			p.Send(wire.AppendMessage(nil, wire.Header{ChunkStream: id, Type: wire.TypeCommandAMF0}, 128, []byte{2}))
		}
	},
	"a flood of pings": func(p *rtmptest.Client) {
		p.Connect("live")
		for range 20000 {
			p.Send(wire.AppendUserControl(nil, wire.EventPingRequest, 1))
		}
	},
	"answers to calls that nobody made": func(p *rtmptest.Client) {
		p.Connect("live")
		p.Send(rtmptest.CommandMessage(0, wire.AppendCommand(nil, wire.Command{Name: "_result", Transaction: 9, Args: []wire.Value{wire.Null{}}})))
		p.Send(rtmptest.CommandMessage(7, wire.AppendCommand(nil, wire.Command{Name: "_error", Args: nil})))
	},
	"publish on a stream that does not exist": func(p *rtmptest.Client) {
		p.Connect("live")
		p.Call(7, "publish", wire.Null{}, wire.String("cam"))
	},
	"deleteStream of anything": func(p *rtmptest.Client) {
		p.Connect("live")
		for _, v := range []wire.Value{wire.Number(-1), wire.Number(1e300), wire.Number(0), wire.Number(5), wire.String("1"), wire.Null{}} {
			p.Call(0, "deleteStream", wire.Null{}, v)
		}
	},
	"commands with the wrong arguments": func(p *rtmptest.Client) {
		p.Connect("live")
		p.Call(0, "createStream")
		for _, name := range []string{"publish", "play", "FCPublish", "releaseStream", "pause", "seek", "closeStream", "deleteStream", "receiveAudio"} {
			p.Call(1, name)
			p.Call(1, name, wire.Undefined{}, wire.Object{}, wire.StrictArray{})
		}
	},
	"not RTMP": func(p *rtmptest.Client) { p.Send([]byte("GET / HTTP/1.1\r\n\r\n")) },
	"chunk size 1 and a long message": func(p *rtmptest.Client) {
		p.Send(wire.AppendSetChunkSize(nil, 1))
		p.Send(wire.AppendMessage(nil, wire.Header{ChunkStream: 3, Type: wire.TypeVideo}, 1, make([]byte, 50<<10)))
	},
	"timestamps at every edge": func(p *rtmptest.Client) {
		p.Publish("live", "evil")
		for _, ts := range []uint32{0, 0xfffffe, 0xffffff, 0x1000000, 0xffffffff, 0} {
			p.Media(wire.TypeVideo, ts, slices.Concat(avcConfig, make([]byte, 300))...)
		}
	},
}

// Whatever one connection does, a publisher beside it goes on, and memory stays where it
// was.
func TestHostilePeers(t *testing.T) {
	access := newAccess()
	srv, addr := serveTCP(t, Options{Access: access, OnPlay: newPlayers().play, HandshakeTimeout: time.Second})
	dial := func(t *testing.T) *rtmptest.Client {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		return rtmptest.Handshake(t, nc)
	}
	good := dial(t)
	good.Publish("live", "good")
	sink := wait(t, "sink", access.sinks)
	good.Media(wire.TypeVideo, 0, avcConfig...)
	wait(t, "packet", sink.packets)
	for name, attack := range attacks {
		t.Run(name, func(t *testing.T) {
			attackOn(t, attack, addr)
			good.Media(wire.TypeVideo, 40, avcKey...)
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
func attackOn(t *testing.T, attack func(*rtmptest.Client), addr string) {
	defer func() { _ = recover() }() // what quiet throws
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close() //nolint:errcheck // a test
	_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
	p := rtmptest.Handshake(quiet{t}, nc)
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
	var peers []*rtmptest.Client
	for range 50 {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		p := rtmptest.Handshake(t, nc)
		p.Publish("live", "cam")
		for id := range byte(20) {
			p.Send(append([]byte{10 + id, 0, 0, 0, 0x7f, 0, 0, wire.TypeVideo, 1, 0, 0, 0}, make([]byte, 128)...))
		}
		p.Send(wire.AppendUserControl(nil, wire.EventPingRequest, 7))
		for m := range p.Got { // until all of it has been read
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
		_ = p.Conn.Close()
	}
}

func TestPingFloodIsAnsweredWithinARate(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, w *world) {
		p := rtmptest.Handshake(t, w.l.Dial())
		p.Publish("live", "cam")
		for range 1000 {
			p.Send(wire.AppendUserControl(nil, wire.EventPingRequest, 1))
		}
		p.Call(0, "getStreamLength", wire.Null{}, wire.String("cam"))
		pongs := 0
		for m := range p.Got {
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
	dial := func() *rtmptest.Client {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		return rtmptest.Handshake(t, nc)
	}
	a, b := dial(), dial()
	a.Connect("live")
	b.Connect("live")
	c := dial()
	c.Call(0, "connect", wire.Object{{Key: "app", Value: wire.String("live")}})
	if code, why := rtmptest.Info(c.Command("_error")); code != "NetConnection.Connect.Rejected" || !strings.Contains(why, "address") {
		t.Error(code, why)
	}
	if err := wait(t, "close", c.Done); !errors.Is(err, io.EOF) {
		t.Errorf("%v: the last words could have been lost", err)
	}
	_ = a.Conn.Close()
	wait(t, "close", a.Done)
	for o.Slots.Used() > 1 {
		runtime.Gosched()
	}
	dial().Connect("live")
	mu.Lock()
	defer mu.Unlock()
	if refused != 1 {
		t.Errorf("%d refused", refused)
	}
}

// A panic ends its own connection, with its stack in the log.
func TestPanics(t *testing.T) {
	tests := map[string]func(o *Options, a *fakeAccess) func(p *rtmptest.Client){
		"in Publish": func(_ *Options, a *fakeAccess) func(p *rtmptest.Client) {
			a.decide = func(r ingest.Request) error {
				if r.Name == "bad" {
					panic("ouch")
				}
				return nil
			}
			return func(p *rtmptest.Client) {
				p.Connect("live")
				p.Call(0, "createStream", wire.Null{})
				p.Call(1, "publish", wire.Null{}, wire.String("bad"))
			}
		},
		"in Write": func(_ *Options, a *fakeAccess) func(p *rtmptest.Client) {
			a.write = func(s *fakeSink, _ *packetbuf.Packet) error {
				if s.request.Name == "bad" {
					panic("ouch")
				}
				return nil
			}
			return func(p *rtmptest.Client) {
				p.Publish("live", "bad")
				p.Media(wire.TypeVideo, 0, avcConfig...)
			}
		},
		"in Play": func(o *Options, _ *fakeAccess) func(p *rtmptest.Client) {
			o.OnPlay = func(context.Context, rtmpconn.PlayRequest, *rtmpconn.Player) error { panic("ouch") }
			return func(p *rtmptest.Client) { p.Play("live", "bad") }
		},
	}
	for name, prepare := range tests {
		t.Run(name, func(t *testing.T) {
			lines, access := &logs{}, newAccess()
			o := Options{Access: access, Log: lines.logger()}
			attack := prepare(&o, access)
			_, l := serve(t, o)
			good := rtmptest.Handshake(t, l.Dial())
			good.Publish("live", "good")
			sink := wait(t, "sink", access.sinks)
			bad := rtmptest.Handshake(t, l.Dial())
			attack(bad)
			wait(t, "close", bad.Done)
			good.Media(wire.TypeVideo, 0, avcConfig...)
			wait(t, "packet", sink.packets)
			if out := lines.String(); !strings.Contains(out, "ouch") || !strings.Contains(out, "hostile_test.go") || !strings.Contains(out, "internal error; session ended, relay goes on") {
				t.Errorf("log:\n%s", out)
			}
		})
	}
}
