package link

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
	"github.com/holdfast-live/holdfast/qos"
)

func target(t testing.TB) Target {
	t.Helper()
	got, err := ParseTarget("rtmp://host/live/cam?key=hush")
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// says is a command of the server in chunks.
func says(name string, transaction float64, args ...wire.Value) []byte {
	return command(wire.DefaultChunkSize, 0, name, transaction, args...)
}

func status(code, description string) wire.Object {
	return wire.Object{{Key: "code", Value: wire.String(code)}, {Key: "description", Value: wire.String(description)}}
}

func connected() []byte {
	return says("_result", txConnect, wire.Null{}, status("NetConnection.Connect.Success", ""))
}

func created(id float64) []byte {
	return says("_result", txCreateStream, wire.Null{}, wire.Number(id))
}

func published() []byte {
	return says("onStatus", 0, wire.Null{}, status("NetStream.Publish.Start", ""))
}

// commands are the names of the commands in what this side sends, with the arguments that
// are strings.
func commands(t testing.TB, b []byte) []string {
	t.Helper()
	d := wire.NewDemuxer(wire.DefaultLimits())
	var out []string
	for len(b) > 0 {
		rest, m, err := d.Push(b)
		if err != nil {
			t.Fatal(err)
		}
		if b = rest; m == nil {
			break
		}
		if m.Type != wire.TypeCommandAMF0 {
			continue
		}
		c, err := wire.ParseCommand(m.Payload)
		if err != nil {
			t.Fatal(err)
		}
		words := []string{c.Name}
		for i := range c.Args {
			if s := c.StringArg(i); s != "" {
				words = append(words, s)
			}
		}
		out = append(out, strings.Join(words, " "))
	}
	return out
}

func TestPublishCommands(t *testing.T) {
	p := newPeer(target(t), publisher)
	if got := commands(t, p.state.connect()); !slices.Equal(got, []string{"connect"}) {
		t.Error(got)
	}
	steps := []struct {
		name  string
		come  []byte
		want  []string
		phase qos.Phase
	}{
		{"a bandwidth check means nothing", says("onBWDone", 0, wire.Null{}), nil, qos.PhaseConnect},
		{"an early start means nothing", published(), nil, qos.PhaseConnect},
		{"connected", connected(), []string{"releaseStream cam?key=hush", "FCPublish cam?key=hush", "createStream"}, qos.PhasePublish},
		{"connected again", connected(), nil, qos.PhasePublish},
		{"releaseStream is not known", says("_error", txRelease, wire.Null{}, status("NetConnection.Call.Failed", "")), nil, qos.PhasePublish},
		{"FCPublish has a status", says("onFCPublish", 0, wire.Null{}, status("NetStream.Publish.Start", "")), nil, qos.PhasePublish},
		{"created", created(7), []string{"publish cam?key=hush live"}, qos.PhasePublish},
		{"created again", created(8), nil, qos.PhasePublish},
		{"published", published(), nil, qos.PhaseRunning},
	}
	for _, s := range steps {
		answer, err := p.feed(s.come)
		if err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		// What was announced before has to be known to read what follows.
		b := append(wire.AppendSetChunkSize(nil, chunkSize), answer...)
		if got := commands(t, b); !slices.Equal(got, s.want) || p.state.phase != s.phase {
			t.Errorf("%s: %q in %s", s.name, got, p.state.phase)
		}
	}
	if p.state.stream != 7 {
		t.Error("stream", p.state.stream)
	}
	if got := commands(t, append(wire.AppendSetChunkSize(nil, chunkSize), p.state.unpublish()...)); !slices.Equal(got, []string{"FCUnpublish cam?key=hush", "deleteStream"}) {
		t.Error(got)
	}
}

func TestRejections(t *testing.T) {
	level := func(o wire.Object, level string) wire.Object {
		return append(o, wire.Property{Key: "level", Value: wire.String(level)})
	}
	tests := []struct {
		name  string
		come  []byte
		want  string
		retry bool
	}{
		{
			"connect", says("_error", txConnect, wire.Null{}, status("NetConnection.Connect.Rejected", "full")),
			"rejected: NetConnection.Connect.Rejected: full", true,
		},
		{
			"connect, information first", says("_error", txConnect, status("NetConnection.Connect.InvalidApp", "")),
			"rejected: NetConnection.Connect.InvalidApp", false,
		},
		{
			"connect, a result that is none", says("_result", txConnect, wire.Null{}, status("NetConnection.Connect.Failed", "")),
			"rejected: NetConnection.Connect.Failed", true,
		},
		{"connect, no information", says("_error", txConnect), "rejected: NetConnection.Call.Failed", true},
		{"createStream", says("_error", txCreateStream, wire.Null{}), "rejected: NetConnection.Call.Failed", true},
		{
			"bad name", says("onStatus", 0, wire.Null{}, status("NetStream.Publish.BadName", "Already publishing")),
			"rejected: NetStream.Publish.BadName: Already publishing", true,
		},
		{
			"denied, our secrets said back", says("onStatus", 0, wire.Null{}, status("NetStream.Publish.Denied", "key=hush in cam?key=hush\r\n")),
			"rejected: NetStream.Publish.Denied: … in …", false,
		},
		{
			"an error by its level", says("onStatus", 0, wire.Null{}, level(status("Something.Else", "no"), "error")),
			"rejected: Something.Else: no", true,
		},
		{
			"a start that is an error", says("onStatus", 0, wire.Null{}, level(status("NetStream.Publish.Start", "no"), "error")),
			"rejected: NetStream.Publish.Start: no", true,
		},
		{"close", says("close", 0, wire.Null{}), "rejected: NetConnection.Connect.Closed", true},
	}
	for _, tt := range tests {
		_, err := newPeer(target(t), publisher).feed(tt.come)
		var r *Rejection
		if !errors.As(err, &r) || r.Error() != tt.want || Retry(err) != tt.retry {
			t.Errorf("%s: %v, retry %v", tt.name, err, Retry(err))
		}
	}
}

func TestFarNonsense(t *testing.T) {
	for name, come := range map[string][]byte{
		"stream 0":                    append(connected(), created(0)...),
		"stream 1.5":                  append(connected(), created(1.5)...),
		"stream below 0":              append(connected(), created(-1)...),
		"a long message":              wire.AppendMessage(nil, wire.Header{ChunkStream: 3, Type: wire.TypeVideo}, 128, make([]byte, 1<<20)),
		"no AMF":                      wire.AppendMessage(nil, wire.Header{ChunkStream: 3, Type: wire.TypeCommandAMF0}, 128, []byte{0xff}),
		"AMF3":                        wire.AppendMessage(nil, wire.Header{ChunkStream: 3, Type: wire.TypeCommandAMF3}, 128, []byte{1}),
		"a short acknowledgement":     wire.AppendMessage(nil, wire.Header{ChunkStream: 2, Type: wire.TypeAck}, 128, []byte{1}),
		"a short user control":        wire.AppendMessage(nil, wire.Header{ChunkStream: 2, Type: wire.TypeUserControl}, 128, []byte{1}),
		"a strict array without end":  wire.AppendMessage(nil, wire.Header{ChunkStream: 3, Type: wire.TypeCommandAMF0}, 128, []byte{10, 0x7f, 0xff, 0xff, 0xff}),
		"chunks that begin with none": {0xc3},
	} {
		_, err := newPeer(target(t), publisher).feed(come)
		var r *Rejection
		if err == nil || errors.As(err, &r) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFarControl(t *testing.T) {
	p := newPeer(target(t), publisher)
	answer, err := p.feed(wire.AppendUserControl(nil, wire.EventPingRequest, 4711))
	if err != nil || !bytes.Equal(answer, wire.AppendUserControl(nil, wire.EventPingResponse, 4711)) {
		t.Errorf("ping: %x, %v", answer, err)
	}
	for _, n := range []uint32{1000, 1 << 30, 900, 1<<31 + 5, 0xfffffff0, 16} {
		if _, err := p.feed(wire.AppendAck(nil, n)); err != nil {
			t.Fatal(err)
		}
	}
	if want := uint64(1<<32 + 16); p.acked != want {
		t.Errorf("acknowledged %d, want %d", p.acked, want)
	}
	// The server wants to be acknowledged too.
	if _, err := p.feed(wire.AppendWindowAckSize(nil, 1)); err != nil {
		t.Fatal(err)
	}
	data := wire.AppendMessage(nil, wire.Header{ChunkStream: 4, Type: wire.TypeDataAMF0}, 128, make([]byte, 5000))
	answer, err = p.feed(data)
	if err != nil || !bytes.Equal(answer, wire.AppendAck(nil, uint32(p.received))) {
		t.Errorf("window: %x, %v", answer, err)
	}
}

func TestShownIsBounded(t *testing.T) {
	long := strings.Repeat("ä\x00\xff", 10_000)
	got := target(t).clean(long)
	if len(got) > maxShown || !utf8.ValidString(got) || strings.ContainsRune(got, 0) || len(got) < maxShown-8 {
		t.Errorf("%d bytes: %q", len(got), got)
	}
}

// TestShownIsWithoutSecrets has servers repeat a secret as they understood it, and so often
// that the last time would be cut in two.
func TestShownIsWithoutSecrets(t *testing.T) {
	to, err := ParseTarget("rtmp://far/live/hush%2Bhush%3Dhush?key=top%2Fsecret")
	if err != nil {
		t.Fatal(err)
	}
	for _, said := range []string{
		"hush+hush=hush is already publishing", "no: top/secret", strings.Repeat("hush%2Bhush%3Dhush?key=top%2Fsecret", 100),
	} {
		if got := to.clean(said); strings.Contains(got, "hush") || strings.Contains(got, "secret") {
			t.Errorf("%q", got)
		}
	}
}

// FuzzPeer feeds what a server may send: nothing of it may end the process, make this
// side send more than a few bytes for each that came, or publish before it was allowed to.
func FuzzPeer(f *testing.F) {
	f.Add(slices.Concat(connected(), created(1), published()), 7)
	f.Add(says("_error", txConnect, wire.Null{}, status("NetConnection.Connect.Rejected", "no")), 1)
	f.Add(slices.Concat(wire.AppendWindowAckSize(nil, 10), wire.AppendSetPeerBandwidth(nil, 10, 2), wire.AppendAck(nil, 5),
		wire.AppendUserControl(nil, wire.EventPingRequest, 1), wire.AppendSetChunkSize(nil, 1), connected()), 3)
	f.Fuzz(func(t *testing.T, data []byte, cut int) {
		p := newPeer(target(t), publisher)
		sent := 0
		for _, part := range split(data, cut) {
			answer, err := p.feed(part)
			sent += len(answer)
			if err != nil {
				if len(err.Error()) > 4*maxShown {
					t.Errorf("an error of %d bytes", len(err.Error()))
				}
				break
			}
		}
		if limit := 4096 + 3*len(data); sent > limit {
			t.Errorf("%d bytes sent for %d that came", sent, len(data))
		}
		if p.demux.Buffered() > peerLimits().Buffered {
			t.Errorf("%d bytes buffered", p.demux.Buffered())
		}
		if p.state.phase == qos.PhaseRunning && p.state.stream == 0 {
			t.Error("running without a stream")
		}
	})
}

func split(data []byte, cut int) [][]byte {
	if cut <= 0 || cut >= len(data) {
		return [][]byte{data}
	}
	return [][]byte{data[:cut], data[cut:]}
}
