package rendition

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
	"github.com/holdfast-live/holdfast/packetbuf/ogg"
)

var lc = codec.AAC{ObjectType: codec.AACLC, SampleRate: 48000, Channels: 2, FrameSamples: 1024}

// fakeProgram replaces an ffmpeg that transcodes AAC to Opus: it writes a page per frame.
type fakeProgram struct {
	deaf  bool // reads nothing
	mute  bool // writes nothing
	after int  // frames after which it ends; 0: never
	words string
}

func (f fakeProgram) launch(string, []string) (*running, error) {
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	kill := sync.OnceFunc(func() { inR.Close(); outW.Close() })
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer kill()
		if f.deaf {
			_, _ = inR.Read(nil)
			return
		}
		frames := codec.NewADTSReader(bufio.NewReader(inR))
		w := ogg.NewWriter(codec.OpusHead{Channels: 2, PreSkip: 312, Rate: 48000})
		for n := 1; ; n++ {
			if _, err := frames.Next(); err != nil || n == f.after {
				return
			}
			if f.mute {
				continue
			}
			page, _ := w.Append(nil, []byte{0xfc, 0xff, 0xfe})
			if _, err := outW.Write(page); err != nil {
				return
			}
		}
	}()
	return &running{
		in: inW, out: outR, kill: kill, end: func() { kill(); <-done },
		output: func() []string { return []string{f.words} },
	}, nil
}

// sound returns AAC frames from dts on, of a duration.
func sound(dts, length time.Duration) (out []*packetbuf.Packet) {
	out = append(out, &packetbuf.Packet{Track: packetbuf.Audio, Codec: packetbuf.AAC, Kind: packetbuf.Config, Payload: lc.Append(nil)})
	for i := 0; ; i++ {
		at := time.Duration(i*1024) * time.Second / 48000
		if at >= length {
			return out
		}
		out = append(out, &packetbuf.Packet{Track: packetbuf.Audio, Codec: packetbuf.AAC, Kind: packetbuf.Delta, DTS: (dts + at).Truncate(time.Millisecond), Payload: []byte{0x21, 0x10, 0x04, 0x60, 0x8c, 0x1c}})
	}
}

// act runs f with a stage in a bubble. f sets the launch function.
func act(t *testing.T, program fakeProgram, f func(s *stage, launched *atomic.Int32)) {
	t.Helper()
	name, err := os.Executable() // any existing program
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, name)
		defer s.Close()
		launched := &atomic.Int32{}
		s.launch = func(name string, args []string) (*running, error) {
			launched.Add(1)
			return program.launch(name, args)
		}
		f(s, launched)
	})
}

// wantFor requests a bridge once a second, as a stream does.
func (s *stage) wantFor(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Second) {
		s.Want(parent, packetbuf.Opus)
	}
}

func TestABridgeLastsAsLongAsItIsWanted(t *testing.T) {
	act(t, fakeProgram{}, func(s *stage, launched *atomic.Int32) {
		s.play(sound(begin, 2*time.Second)...)
		s.wantFor(20 * time.Second)
		c := s.Counts()
		if c != (BridgeCounts{Wanted: 1, Running: 1}) || launched.Load() != 1 {
			t.Fatalf("got %+v, launched %d times", c, launched.Load())
		}
		st := s.Status()[0]
		if st.Stream != parent || st.From != packetbuf.AAC || st.To != packetbuf.Opus || !st.Runs || st.Packets < 90 {
			t.Errorf("got %+v", st)
		}
		time.Sleep(8 * time.Second)
		if len(s.Status()) != 1 {
			t.Error("it ended too soon")
		}
		time.Sleep(3 * time.Second)
		if len(s.Status()) != 0 || !strings.Contains(s.said(), errUnwanted.Error()) {
			t.Errorf("bridge continues although it is not wanted:\n%s", s.said())
		}
		s.wantFor(2 * time.Second)
		if s.Counts().Running != 1 {
			t.Error("it is not begun again")
		}
	})
}

func TestProgramsThatFailAreReplacedMoreAndMoreSeldom(t *testing.T) {
	for name, c := range map[string]struct {
		program     fakeProgram
		least, most int32 // times that it is launched in five minutes
		said        string
	}{
		"crash": {fakeProgram{after: 50, words: "out of luck"}, 10, 25, "out of luck"},
		"mute":  {fakeProgram{mute: true}, 8, 20, errSilent.Error()},
		"deaf":  {fakeProgram{deaf: true}, 8, 25, ""},
	} {
		t.Run(name, func(t *testing.T) {
			act(t, c.program, func(s *stage, launched *atomic.Int32) {
				s.play(sound(begin, 2*time.Second)...)
				s.wantFor(5 * time.Minute)
				n, counts := launched.Load(), s.Counts()
				if n < c.least || n > c.most || counts.Failures < uint64(n)-1 || counts.Restarts < uint64(n)-1 {
					t.Errorf("launched %d times, %+v", n, counts)
				}
				if !strings.Contains(s.said(), c.said) || s.Status()[0].Err == "" {
					t.Errorf("got %+v, said %s", s.Status(), s.said())
				}
			})
		})
	}
}

// A bridge owes no output while the stream pauses.
func TestAPauseIsNoFailure(t *testing.T) {
	act(t, fakeProgram{}, func(s *stage, launched *atomic.Int32) {
		s.play(sound(begin, 2*time.Second)...)
		s.wantFor(time.Minute)
		s.play(sound(begin+time.Minute, 2*time.Second)...)
		s.wantFor(time.Minute)
		if launched.Load() != 1 || s.Counts().Failures != 0 {
			t.Errorf("launched %d times, %+v", launched.Load(), s.Counts())
		}
	})
}

func TestTheStreamsSoundChanges(t *testing.T) {
	act(t, fakeProgram{}, func(s *stage, launched *atomic.Int32) {
		s.play(sound(begin, 2*time.Second)...)
		s.wantFor(2 * time.Second)
		// Another configuration of the same codec: another program, the same bridge.
		mono := lc
		mono.Channels = 1
		s.mu.Lock()
		s.then = sound(begin+2*time.Second, 2*time.Second)
		s.mu.Unlock()
		s.play(&packetbuf.Packet{Track: packetbuf.Audio, Codec: packetbuf.AAC, Kind: packetbuf.Config, Payload: mono.Append(nil)})
		s.wantFor(2 * time.Second)
		if c := s.Counts(); launched.Load() != 2 || c.Failures != 0 || c.Restarts != 1 {
			t.Errorf("launched %d times, %+v", launched.Load(), c)
		}
		// Another codec, for which the bridge is not needed.
		s.mu.Lock()
		s.then = []*packetbuf.Packet{{Track: packetbuf.Audio, Codec: packetbuf.Opus, Kind: packetbuf.Delta, Payload: []byte{0xfc, 0xff, 0xfe}}}
		s.broken = errors.New("the publisher changed from AAC to Opus")
		s.mu.Unlock()
		time.Sleep(2 * time.Second)
		if len(s.Status()) != 0 || launched.Load() != 2 || !strings.Contains(s.said(), errObsolete.Error()) {
			t.Errorf("%+v, launched %d times: %s", s.Status(), launched.Load(), s.said())
		}
		s.mu.Lock()
		s.over = true
		s.mu.Unlock()
		s.Want(parent, packetbuf.AAC)
		time.Sleep(time.Second)
		if len(s.Status()) != 0 {
			t.Error("of a stream that is over there is a bridge")
		}
	})
}

// A stream that rejects the bridge's output is retried, which is not a failure.
func TestTheStreamRefuses(t *testing.T) {
	act(t, fakeProgram{}, func(s *stage, launched *atomic.Int32) {
		s.refuse = errors.New("not wanted")
		s.play(sound(begin, 2*time.Second)...)
		s.wantFor(10 * time.Second)
		if n := launched.Load(); n < 8 || n > 11 || s.Counts().Failures != 0 {
			t.Errorf("launched %d times in 10s, %+v", n, s.Counts())
		}
	})
}

func TestNoProgramToBridgeWith(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, "no-such-ffmpeg")
		defer s.Close()
		s.play(sound(begin, 2*time.Second)...)
		s.wantFor(100 * time.Second)
		if n := strings.Count(s.said(), "level=ERROR"); n != 1 || !strings.Contains(s.said(), "install ffmpeg") {
			t.Error(s.said())
		}
		if s.Able() {
			t.Error("able without a program")
		}
		if c := s.Counts(); c.Failures < 3 || c.Failures > 4 {
			t.Errorf("got %+v", c)
		}
		s.o.Program, _ = os.Executable()
		s.launch = fakeProgram{}.launch
		s.wantFor(31 * time.Second)
		if s.Counts().Running != 1 || !s.Able() {
			t.Error("it is not tried again")
		}
	})
}

func TestSoundThatIsNotBridged(t *testing.T) {
	short := lc
	short.FrameSamples = 960
	for name, packets := range map[string][]*packetbuf.Packet{
		"FLAC": {{Track: packetbuf.Audio, Codec: packetbuf.FLAC, Kind: packetbuf.Delta, Payload: []byte{1}}},
		"frames of 960 samples": {
			{Track: packetbuf.Audio, Codec: packetbuf.AAC, Kind: packetbuf.Config, Payload: short.Append(nil)},
			{Track: packetbuf.Audio, Codec: packetbuf.AAC, Kind: packetbuf.Delta, Payload: []byte{1}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			act(t, fakeProgram{}, func(s *stage, launched *atomic.Int32) {
				s.play(packets...)
				s.wantFor(40 * time.Second)
				if n := strings.Count(s.said(), "level=ERROR"); launched.Load() != 0 || n != 2 {
					t.Errorf("launched %d times: got %s", launched.Load(), s.said())
				}
			})
		})
	}
}

func TestBridgesAreBounded(t *testing.T) {
	act(t, fakeProgram{}, func(s *stage, _ *atomic.Int32) {
		s.o.Max = 1
		for range 3 {
			s.Want(parent, packetbuf.Opus)
			s.Want("live/other", packetbuf.Opus)
		}
		if n := strings.Count(s.said(), "limit=1"); len(s.Status()) != 1 || n != 1 {
			t.Errorf("%+v: got %s", s.Status(), s.said())
		}
		s.Close()
		s.Want(parent, packetbuf.Opus)
		if len(s.Status()) != 0 {
			t.Error("begun after the end")
		}
	})
}

// Output has the timestamps of its input, whatever gaps there are.
func TestSampleClockAgainstAList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c sampleClock
		type put struct {
			index int64
			dts   time.Duration
		}
		var given []put // where a gap ended
		index, dts := int64(0), time.Duration(rapid.Int64Range(0, int64(400*time.Hour)).Draw(t, "start"))
		asked := int64(-2000)
		at := func(i int64) time.Duration {
			p := given[0]
			for _, q := range given {
				if q.index <= i {
					p = q
				}
			}
			return p.dts + time.Duration(float64(i-p.index)/48000*float64(time.Second))
		}
		for range rapid.IntRange(1, 200).Draw(t, "n") {
			gap := time.Duration(rapid.SampledFrom([]int{0, 0, 0, 0, 0, 30, 500, 20000, -100}).Draw(t, "gap")) * time.Millisecond
			if dts += gap; gap != 0 || len(given) == 0 {
				given = append(given, put{index, dts})
			}
			uneven := time.Duration(rapid.IntRange(-5, 5).Draw(t, "uneven")) * time.Millisecond
			if gap != 0 || index == 0 {
				uneven = 0
			}
			c.setTime(index, dts+uneven, 16*time.Millisecond)
			index += 1024
			dts += length(1024)
			for asked += rapid.Int64Range(0, 3000).Draw(t, "ask"); asked < index; asked += 960 {
				got, want := c.timeOf(asked), at(asked)
				if off := got - want; off < -time.Millisecond || off > time.Millisecond {
					t.Fatalf("sample %d stands at %v, want %v", asked, got, want)
				}
			}
			asked = min(asked, index)
		}
	})
}

// For any input, only complete frames are written to a program.
func FuzzEntry(f *testing.F) {
	f.Add(uint8(packetbuf.AAC), lc.Append(nil), []byte{0x21, 0x10, 0x04, 0x60, 0x8c, 0x1c}, []byte{1})
	f.Add(uint8(packetbuf.Opus), codec.OpusHead{Channels: 2, PreSkip: 312}.Append(nil), []byte{0xfc, 0xff, 0xfe}, []byte{0xfb, 0x3f})
	f.Add(uint8(packetbuf.MP3), []byte{}, append([]byte{0xff, 0xfb, 0x14, 0xc4}, make([]byte, 104-4)...), []byte{0xff, 0xfb, 0x90, 0xc4})
	f.Fuzz(func(t *testing.T, c uint8, config, first, second []byte) {
		var e entry
		var out []byte
		for i, payload := range [][]byte{config, first, second, first} {
			kind := packetbuf.Delta
			if i == 0 {
				kind = packetbuf.Config
			}
			p := &packetbuf.Packet{Track: packetbuf.Audio, Codec: packetbuf.Codec(c), Kind: kind, DTS: time.Duration(i) * 20 * time.Millisecond, Payload: payload}
			var err error
			if out, err = e.add(out, p); err != nil {
				return
			}
		}
		_ = bridgeArguments(&e, packetbuf.Opus)
		_ = e.clock.timeOf(e.index())
		var err error
		switch r := bufio.NewReader(bytes.NewReader(out)); e.codec {
		case packetbuf.AAC:
			for frames := codec.NewADTSReader(r); err == nil; {
				_, err = frames.Next()
			}
		case packetbuf.Opus:
			for frames := ogg.NewReader(r); err == nil; {
				_, err = frames.Next()
			}
		default:
			err = io.EOF
		}
		if !errors.Is(err, io.EOF) {
			t.Fatalf("got %x ends with %v", out, err)
		}
	})
}
