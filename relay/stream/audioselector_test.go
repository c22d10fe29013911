package stream

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/stream/audio"
)

// A viewer that takes AAC, or Opus, or both, comes past any order of the publisher's audio and
// the bridge's. What it gets is what it takes, rises, follows its configuration, and leaves out
// nothing that it could have had.
func TestAudioSelectorAgainstItsRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		takes := rapid.SampledFrom([][]packetbuf.Codec{{packetbuf.AAC}, {packetbuf.Opus}, {packetbuf.AAC, packetbuf.MP3}, {packetbuf.FLAC}}).Draw(t, "takes")
		script := drawAudio(t)
		r := &Reader{audioSelector: audio.NewSelector(audio.CodecsOf(takes), packetbuf.NoCodec)}
		var got []*packetbuf.Packet
		for rest := script; len(rest) > 0 || len(r.pending) > 0; {
			n := copy(r.buf[:], r.pending)
			r.pending = r.pending[n:]
			m := copy(r.buf[n:n+min(rapid.IntRange(0, 9).Draw(t, "batch"), len(r.buf)-n)], rest)
			rest = rest[m:]
			kept, err := r.filter(r.buf[:n+m])
			if err != nil {
				t.Fatal(err) // MP3 is not drawn: nobody's codec changes
			}
			got = append(got, slices.Clone(kept)...)
		}
		if want := expected(script, takes); !slices.EqualFunc(got, want, alike) {
			t.Fatalf("takes %v\nof   %s\ngot  %s\nwant %s", takes, show(script), show(got), show(want))
		}
	})
}

func alike(a, b *packetbuf.Packet) bool {
	return a.Codec == b.Codec && a.Kind == b.Kind && a.Flags == b.Flags && bytes.Equal(a.Payload, b.Payload) && (a.Kind == packetbuf.Config || a.DTS == b.DTS)
}

func show(packets []*packetbuf.Packet) (out string) {
	for _, p := range packets {
		out += p.Codec.String()[:1]
		if p.Bridged() {
			out += "'"
		}
		if p.Kind == packetbuf.Config {
			out += string(p.Payload) + " "
		} else {
			out += p.DTS.String() + " "
		}
	}
	return out
}

// drawAudio draws audio as it may stand in a ring: each frame behind its configuration, and each
// kind's in the order of its times.
func drawAudio(t *rapid.T) (out []*packetbuf.Packet) {
	source, made := packetbuf.NoCodec, packetbuf.NoCodec
	var dts [2]time.Duration
	for range rapid.IntRange(1, 120).Draw(t, "n") {
		p := &packetbuf.Packet{Track: packetbuf.Audio, Kind: packetbuf.Delta, Payload: []byte{0}}
		switch what := rapid.IntRange(0, 12).Draw(t, "what"); {
		case what == 0 || source == packetbuf.NoCodec:
			source, made = rapid.SampledFrom([]packetbuf.Codec{packetbuf.AAC, packetbuf.Opus}).Draw(t, "source"), packetbuf.NoCodec
			p.Codec, p.Kind, p.Payload = source, packetbuf.Config, []byte{byte('0' + rapid.IntRange(0, 2).Draw(t, "config"))}
		case what == 1 || what > 6 && made == packetbuf.NoCodec:
			made = audio.BridgeTarget(source)
			p.Codec, p.Kind, p.Flags, p.Payload = made, packetbuf.Config, packetbuf.Bridged, []byte{byte('0' + rapid.IntRange(0, 2).Draw(t, "config"))}
		case what <= 6:
			dts[0] = max(dts[0], dts[1]-40*time.Millisecond) + 20*time.Millisecond
			p.Codec, p.DTS = source, dts[0]
		default:
			dts[1] = max(dts[1], dts[0]-60*time.Millisecond) + 20*time.Millisecond
			p.Codec, p.DTS, p.Flags = made, dts[1], packetbuf.Bridged
		}
		out = append(out, p)
	}
	return out
}

// expected is what a viewer gets, said as plainly as it can be.
func expected(script []*packetbuf.Packet, takes []packetbuf.Codec) (out []*packetbuf.Packet) {
	var source packetbuf.Codec
	var own, made, had *packetbuf.Packet
	last := time.Duration(-1)
	give := func(p *packetbuf.Packet) {
		if p != nil && (had == nil || had.Codec != p.Codec || !bytes.Equal(had.Payload, p.Payload)) {
			out, had = append(out, p), p
		}
	}
	for _, p := range script {
		if !p.Bridged() {
			source = p.Codec
		}
		mine := slices.Contains(takes, p.Codec) && !(p.Bridged() && slices.Contains(takes, source))
		if p.Kind == packetbuf.Config {
			if p.Bridged() {
				made = p
			} else {
				own = p
			}
			if mine {
				give(p)
			}
			continue
		}
		if !mine || p.DTS <= last {
			continue
		}
		if p.Bridged() {
			give(made)
		} else {
			give(own)
		}
		out, last = append(out, p), p.DTS
	}
	return out
}
