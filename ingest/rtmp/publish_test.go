package rtmp

import (
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
	"github.com/holdfast-live/holdfast/testmedia/rtmptest"
)

// published is a server with a peer that publishes live/cam.
func published(t *testing.T, o Options) (*rtmptest.Client, *fakeSink, *rtmptest.Listener) {
	t.Helper()
	access, ok := o.Access.(*fakeAccess)
	if !ok {
		access = newAccess()
		o.Access = access
	}
	_, l := serve(t, o)
	p := rtmptest.Handshake(t, l.Dial())
	p.Publish("live", "cam")
	return p, wait(t, "sink", access.sinks), l
}

func TestMediaReachesTheSink(t *testing.T) {
	p, sink, _ := published(t, Options{})
	p.Media(wire.TypeVideo, 0, avcKey...)   // before its configuration: nobody could decode it
	p.Media(wire.TypeAudio, 0, aacFrame...) // likewise
	p.Media(wire.TypeVideo, 10, avcConfig...)
	p.Media(wire.TypeAudio, 10, aacConfig...)
	p.Media(wire.TypeVideo, 0xfffffff0, avcKey...)
	p.Media(wire.TypeAudio, 0xfffffff1, aacFrame...)
	p.Media(wire.TypeAudio, 0xfffffff2) // empty
	p.Media(wire.TypeVideo, 5, avcDelta...)
	p.Media(wire.TypeDataAMF0, 6, wire.AppendAMF(nil, wire.String("@setDataFrame"), wire.String("onMetaData"),
		wire.ECMAArray{{Key: "width", Value: wire.Number(320)}})...)
	p.Media(wire.TypeDataAMF0, 7, 3, 0, 1, 'a') // broken
	p.Media(wire.TypeDataAMF3, 8, append([]byte{0}, wire.AppendAMF(nil, wire.String("onCuePoint"))...)...)
	p.Media(wire.TypeAudio, 9, 0x2f, 0xff, 0xfb) // MP3

	type seen struct {
		track packetbuf.Track
		codec packetbuf.Codec
		kind  packetbuf.Kind
		at    time.Duration
	}
	const ms = time.Millisecond
	want := []seen{
		{packetbuf.Video, packetbuf.H264, packetbuf.Config, 10 * ms},
		{packetbuf.Audio, packetbuf.AAC, packetbuf.Config, 10 * ms},
		{packetbuf.Video, packetbuf.H264, packetbuf.Key, 0xfffffff0 * ms},
		{packetbuf.Audio, packetbuf.AAC, packetbuf.Delta, 0xfffffff1 * ms},
		{packetbuf.Video, packetbuf.H264, packetbuf.Delta, 5 * ms},
		{packetbuf.Data, packetbuf.AMF0, packetbuf.Config, 6 * ms},
		{packetbuf.Data, packetbuf.AMF0, packetbuf.Delta, 8 * ms},
		{packetbuf.Audio, packetbuf.MP3, packetbuf.Delta, 9 * ms},
	}
	for i, w := range want {
		q := wait(t, "packet", sink.packets)
		if got := (seen{q.Track, q.Codec, q.Kind, q.DTS}); got != w {
			t.Errorf("packet %d: %+v, want %+v", i, got, w)
		}
	}
}

func TestAggregate(t *testing.T) {
	p, sink, _ := published(t, Options{})
	var body []byte
	for i, m := range [][]byte{avcConfig, avcKey, avcDelta} {
		body = wire.AppendAggregated(body, wire.Message{Header: wire.Header{Type: wire.TypeVideo, Timestamp: uint32(i) * 40}, Payload: m})
	}
	p.Media(wire.TypeAggregate, 1000, body...)
	for _, want := range []time.Duration{1000, 1040, 1080} {
		if q := wait(t, "packet", sink.packets); q.DTS != want*time.Millisecond {
			t.Errorf("at %v, want %v ms", q.DTS, want)
		}
	}
}

func TestHowAPushEnds(t *testing.T) {
	tests := []struct {
		name string
		end  func(p *rtmptest.Client)
		want ingest.Cause
	}{
		{"FCUnpublish", func(p *rtmptest.Client) { p.Call(0, "FCUnpublish", wire.Null{}, wire.String("cam")) }, ingest.Unpublish},
		{"deleteStream", func(p *rtmptest.Client) { p.Call(0, "deleteStream", wire.Null{}, wire.Number(1)) }, ingest.Unpublish},
		{"closeStream", func(p *rtmptest.Client) { p.Call(1, "closeStream", wire.Null{}) }, ingest.Unpublish},
		{"close without a word", func(p *rtmptest.Client) { _ = p.Conn.Close() }, ingest.EOF},
		{"half a message, then a close", func(p *rtmptest.Client) {
			p.Send([]byte{6, 0, 0, 0, 0, 0, 90, 9, 1, 0, 0, 0, 1})
			_ = p.Conn.Close()
		}, ingest.EOF},
		{"a broken chunk", func(p *rtmptest.Client) { p.Send([]byte{3<<6 | 9}) }, ingest.Protocol},
		{"a second connect", func(p *rtmptest.Client) { p.Call(0, "connect", wire.Object{}) }, ingest.Protocol},
		{"a broken aggregate", func(p *rtmptest.Client) { p.Media(wire.TypeAggregate, 0, 1, 2, 3) }, ingest.Protocol},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, sink, _ := published(t, Options{})
			tt.end(p)
			if e := wait(t, "end", sink.ended); e.cause != tt.want {
				t.Errorf("%s: %s, want %s", e.cause, e.reason, tt.want)
			}
			_ = p.Conn.Close()
			select {
			case e := <-sink.ended:
				t.Errorf("ended again: %+v", e)
			default:
			}
		})
	}
}

func TestResetIsAReset(t *testing.T) {
	access := newAccess()
	_, addr := serveTCP(t, Options{Access: access})
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	p := rtmptest.Handshake(t, nc)
	p.Publish("live", "cam")
	sink := wait(t, "sink", access.sinks)
	_ = nc.(*net.TCPConn).SetLinger(0)
	_ = nc.Close()
	if e := wait(t, "end", sink.ended); e.cause != ingest.Reset {
		t.Errorf("%s: %s", e.cause, e.reason)
	}
}

// A connection may publish again, on the same message stream or on another.
func TestPublishAgain(t *testing.T) {
	for _, how := range []string{"FCUnpublish", "closeStream", "deleteStream"} {
		t.Run(how, func(t *testing.T) {
			access := newAccess()
			p, first, _ := published(t, Options{Access: access})
			for range 3 {
				switch how {
				case "FCUnpublish":
					p.Call(0, how, wire.Null{}, wire.String("cam"))
				case "closeStream":
					p.Call(1, how, wire.Null{})
				case "deleteStream":
					p.Call(0, how, wire.Null{}, wire.Number(1))
					p.Call(0, "createStream", wire.Null{})
					if id := p.Command("_result").NumberArg(1); id != 1 {
						t.Fatalf("stream %v", id)
					}
				}
				if e := wait(t, "end", first.ended); e.cause != ingest.Unpublish {
					t.Fatal(e)
				}
				p.Call(1, "publish", wire.Null{}, wire.String("cam"), wire.String("live"))
				for code := ""; code != "NetStream.Publish.Start"; {
					code, _ = p.Status()
				}
				next := wait(t, "sink", access.sinks)
				if next.request.Session.ID() == first.request.Session.ID() {
					t.Error("two sessions with one ID")
				}
				first.request.Session.Close(ingest.Kick, "too late")
				p.Media(wire.TypeVideo, 0, avcConfig...)
				wait(t, "packet", next.packets)
				first = next
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	tests := []struct {
		outcome ingest.Outcome
		code    string
	}{
		{ingest.RefusedName, "NetStream.Publish.BadName"},
		{ingest.RefusedKey, "NetStream.Publish.Denied"},
		{ingest.RefusedTakeover, "NetStream.Publish.BadName"},
		{ingest.RefusedLimit, "NetStream.Publish.BadName"},
		{"", "NetStream.Publish.Failed"},
	}
	for _, tt := range tests {
		t.Run(string(tt.outcome), func(t *testing.T) {
			access := newAccess()
			access.decide = func(ingest.Request) error {
				if tt.outcome == "" {
					return errors.New("the database is away")
				}
				return &ingest.Refusal{Outcome: tt.outcome, Reason: "no", Hint: "do so"}
			}
			lines := &logs{}
			_, l := serve(t, Options{Access: access, Log: lines.logger()})
			p := rtmptest.Handshake(t, l.Dial())
			p.Connect("live")
			p.Call(0, "createStream", wire.Null{})
			p.Command("_result")
			p.Call(1, "publish", wire.Null{}, wire.String("cam?key=s3cret"), wire.String("live"))
			code, why := p.Status()
			if code != tt.code || tt.outcome != "" && why != "no; do so" || strings.Contains(why, "database") {
				t.Errorf("%s: %s", code, why)
			}
			wait(t, "close", p.Done)
			if out := lines.String(); strings.Contains(out, "s3cret") || strings.Count(out, "live/cam") != 1 {
				t.Errorf("log:\n%s", out)
			}
		})
	}
}

func TestCodecsThatAreNotCarried(t *testing.T) {
	tests := []struct {
		name string
		typ  uint8
		body []byte
	}{
		{"vvc1", wire.TypeVideo, []byte{0x90, 'v', 'v', 'c', '1', 1, 2, 3, 4}},
		{"AV1 (legacy id)", wire.TypeVideo, []byte{0x1d, 0, 0, 0, 0, 1}},
		{"spex", wire.TypeAudio, []byte{0x90, 's', 'p', 'e', 'x', 1, 2}},
		{"VP6", wire.TypeVideo, []byte{0x14, 1, 2, 3}},
		{"Speex", wire.TypeAudio, []byte{0xb2, 1, 2, 3}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			refused := make(chan ingest.Outcome, 1)
			p, sink, _ := published(t, Options{Refused: func(o ingest.Outcome) { refused <- o }})
			p.Media(tt.typ, 0, tt.body...)
			code, why := p.Status()
			if code != "NetStream.Publish.BadName" || !strings.Contains(why, tt.name) {
				t.Errorf("%s: %s", code, why)
			}
			if e := wait(t, "end", sink.ended); e.cause != ingest.Protocol {
				t.Error(e)
			}
			if o := wait(t, "outcome", refused); o != ingest.RefusedCodec {
				t.Error(o)
			}
		})
	}
}

func TestSessionClose(t *testing.T) {
	for cause, want := range map[ingest.Cause]string{
		ingest.Takeover: "NetStream.Publish.BadName",
		ingest.Silence:  "NetStream.Publish.Idle",
		ingest.Kick:     "NetStream.Publish.Failed",
	} {
		t.Run(string(cause), func(t *testing.T) {
			p, sink, _ := published(t, Options{})
			for range 3 {
				sink.request.Session.Close(cause, "so it is")
			}
			code, why := p.Status()
			if code != want || why != "so it is" {
				t.Errorf("%s: %s", code, why)
			}
			if e := wait(t, "end", sink.ended); e.cause != cause || e.reason != "so it is" {
				t.Error(e)
			}
			wait(t, "close", p.Done)
		})
	}
	t.Run("from within Write", func(t *testing.T) {
		access := newAccess()
		access.write = func(s *fakeSink, _ *packetbuf.Packet) error {
			s.request.Session.Close(ingest.Takeover, "another came")
			return errors.New("stale")
		}
		p, sink, _ := published(t, Options{Access: access})
		p.Media(wire.TypeVideo, 0, avcConfig...)
		if e := wait(t, "end", sink.ended); e.cause != ingest.Takeover {
			t.Error(e)
		}
		if code, why := p.Status(); code != "NetStream.Publish.BadName" || why != "another came" {
			t.Errorf("%s: %s", code, why)
		}
	})
	t.Run("before Publish returns", func(t *testing.T) {
		access := newAccess()
		access.decide = func(r ingest.Request) error {
			r.Session.Close(ingest.Kick, "at once")
			return nil
		}
		_, l := serve(t, Options{Access: access})
		p := rtmptest.Handshake(t, l.Dial())
		p.Connect("live")
		p.Call(0, "createStream", wire.Null{})
		p.Command("_result")
		p.Call(1, "publish", wire.Null{}, wire.String("cam"))
		if e := wait(t, "end", wait(t, "sink", access.sinks).ended); e.cause != ingest.Kick {
			t.Error(e)
		}
	})
}

func TestAnswersThatEncodersWaitFor(t *testing.T) {
	_, l := serve(t, Options{Access: newAccess()})
	p := rtmptest.Handshake(t, l.Dial())
	p.Call(0, "connect", wire.Object{
		{Key: "app", Value: wire.String("live")},
		{Key: "capsEx", Value: wire.Number(15)},
		{Key: "fourCcList", Value: wire.StrictArray{wire.String("*")}},
		{Key: "videoFourCcInfoMap", Value: wire.Object{{Key: "*", Value: wire.Number(7)}}},
	})
	reply := p.Command("_result")
	information := wire.Properties(reply.Arg(1))
	if reply.Transaction != 1 || information.Find("objectEncoding") != wire.Number(0) ||
		information.Find("capsEx") != wire.Number(2|4) || information.Find("fourCcList") == nil ||
		information.Find("videoFourCcInfoMap") == nil || information.Find("audioFourCcInfoMap") != nil {
		t.Errorf("connect: %+v", reply)
	}
	for _, name := range []string{"releaseStream", "FCPublish", "_checkbw", "getStreamLength", "FCSubscribe", "FCUnpublish"} {
		tx := p.Call(0, name, wire.Null{}, wire.String("cam"))
		if r := p.Command("_result"); r.Transaction != tx {
			t.Errorf("%s: %+v", name, r)
		}
	}
	tx := p.Call(0, "createStream", wire.Null{})
	if r := p.Command("_result"); r.Transaction != tx || r.NumberArg(1) != 1 {
		t.Errorf("createStream: %+v", r)
	}
	p.Send(wire.AppendUserControl(nil, wire.EventPingRequest, 77))
	for m := range p.Got {
		if event, v, _ := wire.ParseUserControl(m.Payload); m.Type == wire.TypeUserControl && event == wire.EventPingResponse {
			if v != 77 {
				t.Errorf("ping of 77 answered by %d", v)
			}
			break
		}
	}
}

// Commands in AMF3 messages hold AMF0 behind a byte; they are taken.
func TestCommandsInAMF3Messages(t *testing.T) {
	_, l := serve(t, Options{Access: newAccess()})
	p := rtmptest.Handshake(t, l.Dial())
	body := wire.AppendCommand([]byte{0}, wire.Command{Name: "connect", Transaction: 1, Args: []wire.Value{wire.Object{}}})
	p.Send(wire.AppendMessage(nil, wire.Header{ChunkStream: 3, Type: wire.TypeCommandAMF3}, wire.DefaultChunkSize, body))
	p.Command("_result")
}

func TestAcknowledgements(t *testing.T) {
	p, _, _ := published(t, Options{})
	p.Send(wire.AppendWindowAckSize(nil, 4096))
	p.Media(wire.TypeVideo, 0, slices.Concat(avcDelta, make([]byte, 10000))...)
	p.Media(wire.TypeVideo, 0, slices.Concat(avcDelta, make([]byte, 10000))...)
	last := uint32(0)
	for last < 20000 {
		m, ok := <-p.Got
		if !ok {
			t.Fatal("closed")
		}
		if m.Type == wire.TypeAck {
			n, err := wire.ParseUint32(m.Payload)
			if err != nil || n < last {
				t.Fatal(n, last, err)
			}
			last = n
		}
	}
}
