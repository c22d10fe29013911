package stream

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
	"github.com/holdfast-live/holdfast/relay/stream/audio"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

var flvAudio = []packetbuf.Codec{packetbuf.AAC, packetbuf.MP3}

// across is a bridge as far as the stream sees one: what it made of the audio that a tap has.
type across struct {
	b       *bench
	tap     *Reader
	to      packetbuf.Codec
	told    bool
	refused int
}

func (b *bench) bridgeTo(to packetbuf.Codec) *across {
	b.t.Helper()
	tap, err := b.Tap(0)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(tap.Close)
	return &across{b: b, tap: tap, to: to}
}

func madeConfig(to packetbuf.Codec) *packetbuf.Packet {
	payload := codec.OpusHead{Channels: 2, PreSkip: 312, Rate: 48000}.Append(nil)
	if to == packetbuf.AAC {
		payload = codec.AAC{ObjectType: codec.AACLC, SampleRate: 48000, Channels: 1, FrameSamples: 1024}.Append(nil)
	}
	return &packetbuf.Packet{Track: packetbuf.Audio, Codec: to, Kind: packetbuf.Config, Payload: payload}
}

// run makes of each frame one of the bridge's, behind is how much earlier it stands.
func (a *across) run(behind time.Duration) error {
	packets, err := drain(a.b.t, a.tap)
	for _, p := range packets {
		if p.Bridged() {
			a.b.t.Error("a bridge is given bridged audio")
		}
		if p.Track != packetbuf.Audio || !p.Media() {
			continue
		}
		if !a.told {
			a.told = true
			if _, err := a.b.Bridge(madeConfig(a.to)); err != nil {
				return err
			}
		}
		kept, err := a.b.Bridge(&packetbuf.Packet{Track: packetbuf.Audio, Codec: a.to, Kind: packetbuf.Delta, DTS: p.DTS - behind, Payload: []byte{1}})
		if err != nil {
			return err
		}
		if !kept {
			a.refused++
		}
	}
	return err
}

// heard checks the audio that a viewer got, and tells how many frames of it were bridged and how
// many not, and the codecs of its configurations.
func heard(t *testing.T, r *Reader, packets []*packetbuf.Packet) (own, bridged int, configs []packetbuf.Codec) {
	t.Helper()
	last, in := time.Duration(-1), packetbuf.NoCodec
	for _, p := range packets {
		switch {
		case p.Track != packetbuf.Audio:
			continue
		case p.Kind == packetbuf.Config:
			in = p.Codec
			configs = append(configs, p.Codec)
			continue
		case p.DTS <= last:
			t.Errorf("audio at %v after %v", p.DTS, last)
		case !r.audioSelector.Codecs().Has(p.Codec):
			t.Errorf("%v for who does not take it", p.Codec)
		case in != packetbuf.NoCodec && in != p.Codec:
			t.Errorf("%v under a configuration of %v", p.Codec, in)
		}
		last = p.DTS
		if p.Bridged() {
			bridged++
		} else {
			own++
		}
	}
	return own, bridged, configs
}

func TestABridgeIsAskedFor(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{})
		p.run(3 * time.Second)
		b.attach()
		b.attach(flvAudio...)
		b.attach(packetbuf.FLAC) // what nobody makes
		p.run(3 * time.Second)
		if asks := b.asksSoFar(); len(asks) > 0 {
			t.Fatalf("asked for %v, which nobody needs", asks)
		}
		r := b.attach(packetbuf.Opus)
		if asks := b.asksSoFar(); !slices.Equal(asks, []packetbuf.Codec{packetbuf.Opus}) {
			t.Errorf("at the first viewer who needs one: asked for %v", asks)
		}
		p.run(10 * time.Second)
		if asks := b.asksSoFar(); len(asks) < 8 || len(asks) > 11 {
			t.Errorf("asked %d times in 10s", len(asks))
		}
		p.sink.End(ingest.Reset, "")
		time.Sleep(5 * time.Second)
		if asks := b.asksSoFar(); len(asks) < 4 || len(asks) > 6 {
			t.Errorf("asked %d times in 5s while held", len(asks))
		}
		b.publish(gen.Options{AudioCodec: packetbuf.Opus}).run(100 * time.Millisecond)
		if asks := b.asksSoFar(); len(asks) == 0 || asks[len(asks)-1] != packetbuf.AAC {
			t.Errorf("when the audio changed: asked for %v", asks)
		}
		r.Close()
		r.Close()
		for _, want := range []struct {
			accepts []packetbuf.Codec
			n       int
		}{{flvAudio, 1}, {[]packetbuf.Codec{packetbuf.FLAC}, 1}, {[]packetbuf.Codec{packetbuf.Opus}, 0}} {
			if n := b.bridge.Viewers(audio.CodecsOf(want.accepts)); n != want.n {
				t.Errorf("got %d viewers that accept %v, want %d", n, want.accepts, want.n)
			}
		}
	})
}

func TestAudible(t *testing.T) {
	for _, c := range []struct {
		source packetbuf.Codec
		takes  []packetbuf.Codec
		has    bool
	}{
		{packetbuf.AAC, nil, true},
		{packetbuf.AAC, flvAudio, true},
		{packetbuf.AAC, []packetbuf.Codec{packetbuf.Opus}, true},
		{packetbuf.Opus, nil, true},
		{packetbuf.Opus, flvAudio, true},
		{packetbuf.Opus, []packetbuf.Codec{packetbuf.MP3}, false},
		{packetbuf.MP3, []packetbuf.Codec{packetbuf.Opus}, true},
		{packetbuf.MP3, []packetbuf.Codec{packetbuf.AAC}, false},
	} {
		story(t, nil, func(b *bench) {
			b.publish(gen.Options{AudioCodec: c.source}).run(3 * time.Second)
			r := b.attach(c.takes...)
			if r.Has(packetbuf.Audio) != c.has || !r.Has(packetbuf.Video) {
				t.Errorf("%v of %v: %v", c.takes, c.source, r.Has(packetbuf.Audio))
			}
			b.opts.Bridgeable = func() bool { return false }
			without := b.attach(c.takes...).Has(packetbuf.Audio)
			if want := c.takes == nil || slices.Contains(c.takes, c.source); without != want {
				t.Errorf("%v of %v without a bridge: %v", c.takes, c.source, without)
			}
		})
	}
}

func TestEachHearsWhatItTakes(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{GOP: 30})
		p.run(3 * time.Second)
		opus, flv, anything := b.attach(packetbuf.Opus), b.attach(flvAudio...), b.attach()
		both := b.attach(packetbuf.Opus, packetbuf.AAC)
		tap, _ := b.Tap(0)
		choosy, _ := b.Tap(0, packetbuf.Opus)
		if asks := b.asksSoFar(); len(asks) != 2 { // and of the viewer
			t.Errorf("asked for %v", asks)
		}
		bridge := b.bridgeTo(packetbuf.Opus)
		for range 25 {
			p.run(100 * time.Millisecond)
			if err := bridge.run(10 * time.Millisecond); err != nil {
				t.Fatal(err)
			}
		}
		for name, r := range map[string]*Reader{"flv": flv, "anything": anything, "both": both, "tap": tap} {
			packets, err := drain(t, r)
			if n := count(packets, (*packetbuf.Packet).Bridged); n != 0 || err != nil {
				t.Errorf("%s: %d bridged packets, %v", name, n, err)
			}
			if n := count(packets, isTrack(packetbuf.Audio)); n < 100 {
				t.Errorf("%s: %d of audio", name, n)
			}
		}
		late := b.attach(packetbuf.Opus)
		for name, r := range map[string]*Reader{"early": opus, "late": late, "choosy": choosy} {
			packets, err := drain(t, r)
			own, bridged, configs := heard(t, r, packets)
			if err != nil || own != 0 || bridged < 20 || !slices.Equal(configs, []packetbuf.Codec{packetbuf.Opus}) {
				t.Errorf("%s: %d own, %d bridged, configurations %v, %v", name, own, bridged, configs, err)
			}
			if n := count(packets, isTrack(packetbuf.Video)); n < 10 {
				t.Errorf("%s: %d frames", name, n)
			}
		}
		choosy.Close()
		tap.Close()
		if n := b.bridge.Viewers(audio.CodecsOf([]packetbuf.Codec{packetbuf.Opus})); n != 2 {
			t.Errorf("%d listen to what is made", n)
		}
		if w := b.Weigh(10 * time.Second); w.GOPs < 3 || w.Audio < 4*(w.Key+w.Delta)/100 {
			t.Errorf("weighs %+v", w)
		}
	})
}

// A stream of audio alone can be joined at any of it, and so can what is made of it.
func TestBridgedSoundAlone(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{NoVideo: true, AudioCodec: packetbuf.Opus})
		p.run(3 * time.Second)
		bridge := b.bridgeTo(packetbuf.AAC)
		early := b.attach(flvAudio...)
		for range 10 {
			p.run(100 * time.Millisecond)
			if err := bridge.run(0); err != nil {
				t.Fatal(err)
			}
		}
		late := b.attach(flvAudio...)
		p.run(100 * time.Millisecond)
		_ = bridge.run(0)
		for r, want := range map[*Reader]int{early: 50, late: 5} {
			packets, _ := drain(t, r)
			_, bridged, configs := heard(t, r, packets)
			if bridged < want || len(configs) != 1 {
				t.Errorf("%d frames, configurations %v", bridged, configs)
			}
			for _, p := range packets {
				if p.Bridged() && p.Media() && p.Kind != packetbuf.Key {
					t.Error("a frame of audio alone is no random-access point")
				}
			}
		}
	})
}

// A browser's push is followed by an encoder's, and that by a browser's: who takes AAC alone
// stays, and hears the bridge's, the publisher's own, and the bridge's again.
func TestOverABreakToTheSameCodecAndBack(t *testing.T) {
	story(t, nil, func(b *bench) {
		browser := gen.Options{AudioCodec: packetbuf.Opus, NoMetadata: true}
		p := b.publish(browser)
		p.run(3 * time.Second)
		r := b.attach(flvAudio...)
		var packets []*packetbuf.Packet
		play := func(p *push, bridge *across, d time.Duration) error {
			for range int(d / (100 * time.Millisecond)) {
				if p != nil {
					p.run(100 * time.Millisecond)
				} else {
					time.Sleep(100 * time.Millisecond)
				}
				if bridge != nil {
					if err := bridge.run(5 * time.Millisecond); err != nil {
						return err
					}
				}
				more, err := drain(t, r)
				if err != nil {
					t.Fatal(err)
				}
				packets = append(packets, more...)
			}
			return nil
		}
		bridge := b.bridgeTo(packetbuf.AAC)
		if err := play(p, bridge, 2*time.Second); err != nil {
			t.Fatal(err)
		}
		p.sink.End(ingest.Reset, "")
		if err := play(nil, bridge, 2*time.Second); err != nil { // silence is bridged too
			t.Fatal(err)
		}
		silent := count(packets, func(p *packetbuf.Packet) bool { return p.Bridged() && p.Media() && p.DTS > 5*time.Second })
		if silent < 95 {
			t.Errorf("%d bridged frames while held", silent)
		}
		p = b.publish(gen.Options{Source: 1, NoMetadata: true})
		var end *EndError
		if err := play(p, bridge, 200*time.Millisecond); !errors.Is(err, ErrNotWanted) && !errors.As(err, &end) {
			t.Errorf("the bridge of what there is no more ends with %v", err)
		}
		_ = play(p, nil, 2*time.Second)
		if _, configs, _ := b.ring.Join(); configs[packetbuf.BridgedAudio] != nil {
			t.Error("who joins is told of a bridge that nothing comes over")
		}
		p.sink.End(ingest.Reset, "")
		_ = play(nil, nil, time.Second)
		p = b.publish(browser)
		p.run(100 * time.Millisecond)
		if err := play(p, b.bridgeTo(packetbuf.AAC), 2*time.Second); err != nil {
			t.Fatal(err)
		}
		own, bridged, configs := heard(t, r, packets)
		if own < 100 || bridged < 200 || !slices.Equal(configs, []packetbuf.Codec{packetbuf.AAC, packetbuf.AAC, packetbuf.AAC}) {
			t.Errorf("%d frames of the publisher's, %d of the bridge, configurations %v", own, bridged, configs)
		}
	})
}

// What was made of audio that is gone is not in force any more.
func TestObsoleteConfiguration(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{})
		p.run(3 * time.Second)
		if _, err := b.Bridge(madeConfig(packetbuf.Opus)); err != nil {
			t.Fatal(err)
		}
		if _, c := b.ring.Live(); c[packetbuf.BridgedAudio] == nil {
			t.Error("not in force")
		}
		p.sink.End(ingest.Reset, "")
		b.publish(gen.Options{AudioCodec: packetbuf.Opus}).run(time.Second)
		if _, c, _ := b.ring.Join(); c[packetbuf.BridgedAudio] != nil || c[packetbuf.Audio].Codec != packetbuf.Opus {
			t.Error("still in force")
		}
	})
}

func TestWhatTheBridgeMayNot(t *testing.T) {
	story(t, func(c *Config) { c.Buffer.Duration = 5 * time.Second }, func(b *bench) {
		frame := func(c packetbuf.Codec, at time.Duration) *packetbuf.Packet {
			return &packetbuf.Packet{Track: packetbuf.Audio, Codec: c, Kind: packetbuf.Delta, DTS: at, Payload: []byte{1}}
		}
		check := func(what string, p *packetbuf.Packet, want bool, wantErr error) {
			t.Helper()
			if kept, err := b.Bridge(p); kept != want || !errors.Is(err, wantErr) {
				t.Errorf("%s: %v, %v", what, kept, err)
			}
		}
		check("before anybody publishes", madeConfig(packetbuf.Opus), false, ErrNotWanted)
		p := b.publish(gen.Options{})
		p.run(10 * time.Second)
		check("without a configuration", frame(packetbuf.Opus, 9*time.Second), false, ErrNotWanted)
		check("the wrong way", madeConfig(packetbuf.AAC), false, ErrNotWanted)
		check("the configuration", madeConfig(packetbuf.Opus), true, nil)
		head := b.ring.Stats().Head
		check("the same configuration", madeConfig(packetbuf.Opus), true, nil)
		check("what has left the buffer", frame(packetbuf.Opus, time.Second), false, nil)
		check("what is to come", frame(packetbuf.Opus, 20*time.Second), false, nil)
		if b.ring.Stats().Head != head {
			t.Error("it is in the ring all the same")
		}
		check("a frame", frame(packetbuf.Opus, 9*time.Second+400*time.Microsecond), true, nil)
		check("the same time", frame(packetbuf.Opus, 9*time.Second), false, nil)
		check("another codec", frame(packetbuf.AAC, 9100*time.Millisecond), false, ErrNotWanted)
		check("a frame", &packetbuf.Packet{Track: packetbuf.Video, Codec: packetbuf.Opus}, false, ErrNotWanted)
		check("a frame", frame(packetbuf.Opus, 9020*time.Millisecond), true, nil)
		b.Close(ingest.Kick, "enough")
		check("after the end", frame(packetbuf.Opus, 9040*time.Millisecond), false, ErrEnded)
	})
}

// A publisher's Opus goes on as silence in Opus, without a gap.
func TestFillerOfOpus(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{AudioCodec: packetbuf.Opus})
		p.run(3 * time.Second)
		r := b.attach(packetbuf.Opus)
		before, _ := drain(t, r)
		p.sink.End(ingest.Reset, "")
		time.Sleep(3 * time.Second)
		filled, _ := drain(t, r)
		last, n := time.Duration(0), 0
		for _, p := range slices.Concat(before, filled) {
			if p.Track != packetbuf.Audio || !p.Media() {
				continue
			}
			if last != 0 && p.DTS-last != 20*time.Millisecond {
				t.Fatalf("from %v to %v", last, p.DTS)
			}
			last = p.DTS
			if p.Flags&packetbuf.Filler != 0 {
				n++
				if string(p.Payload) != "\xfc\xff\xfe" {
					t.Fatalf("made %x", p.Payload)
				}
			}
		}
		if n < 145 || n > 150 {
			t.Errorf("%d silent frames in 3s", n)
		}
	})
}
