package cmaf

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/panics"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

var (
	errOver  = errors.New("the publisher ended the stream")
	errAgain = errors.New("the codec changed")
)

func newFeeds(t *testing.T, s *source, l Limits) *Feeds {
	f := New(Options{
		Open: s.open, Limits: func(string) Limits { return l }, Log: slog.New(slog.DiscardHandler),
		Reopen: func(err error) bool { return errors.Is(err, errAgain) },
	})
	t.Cleanup(f.Close)
	return f
}

func acquire(t *testing.T, f *Feeds) *Feed {
	t.Helper()
	feed, err := f.Acquire(t.Context(), "live/cam")
	if err != nil {
		t.Fatal(err)
	}
	return feed
}

// numbered returns a generated stream as a ring returns it.
func numbered(o gen.Options, d time.Duration, from uint64) []*packetbuf.Packet {
	all := media(o, d)
	for i, p := range all {
		p.Seq, p.Arrived = from+uint64(i), time.Now().Add(p.DTS)
	}
	return all
}

// drain reads all available chunks.
func drain(t *testing.T, c *Cursor) []*Chunk {
	t.Helper()
	var out []*Chunk
	for {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		got, err := c.Next(ctx)
		cancel()
		if err != nil {
			return out
		}
		out = append(out, got...)
	}
}

func TestJoinAndResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource()
		feed := acquire(t, newFeeds(t, s, Limits{Duration: 4 * time.Second}))
		defer feed.Release()
		early := feed.Join()
		all := numbered(gen.Options{}, 9*time.Second, 1)
		s.give(all...)
		synctest.Wait()
		if got := feed.Codecs(); got != "avc1.4d001f,mp4a.40.2" {
			t.Errorf("got codecs %q", got)
		}
		if i := feed.Info(); i == nil || i.Width != 1280 || i.FrameRate != 30 {
			t.Errorf("got info %+v", i)
		}
		cursor := feed.Join()
		got := drain(t, cursor)
		if len(got) < 2 || !got[0].Init || !got[1].Independent || got[1].Start != 8*time.Second || cursor.Skipped() {
			t.Fatalf("joined with chunks %+v", got)
		}
		if other := drain(t, early); len(other) != len(got) { // it waited, and begins at the newest keyframe
			t.Errorf("early reader got %d chunks, want %d", len(other), len(got))
		}
		// After each chunk that the feed still has, exactly the following chunks are returned.
		last := got[len(got)-1].Seq
		for seq := last - 40; seq <= last+1; seq++ {
			again, exact := feed.After(seq)
			rest := drain(t, again)
			kept := seq+1 >= feed.ring.tail && seq <= last
			if exact != kept {
				t.Fatalf("after %d of %d to %d: got exact %v, want true", seq, feed.ring.tail, last, exact)
			}
			if exact && (uint64(len(rest)) != last-seq || len(rest) > 0 && rest[0].Seq != seq+1) || !exact && !rest[0].Init {
				t.Fatalf("after %d of %d: got %d chunks", seq, last, len(rest))
			}
		}
		if _, exact := feed.After(3); exact {
			t.Error("got exact for a sequence number of another run")
		}
	})
}

func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource()
		f := newFeeds(t, s, Limits{Duration: 20 * time.Second, Bytes: 1_000_000})
		feed := acquire(t, f)
		defer feed.Release()
		s.give(numbered(gen.Options{}, 20*time.Second, 1)...)
		synctest.Wait()
		if feed.ring.bytes > 1_000_000 || feed.ring.bytes < 900_000 {
			t.Errorf("ring has %d bytes, want it within the limit", feed.ring.bytes)
		}
		if len(drain(t, feed.Join())) == 0 {
			t.Error("no independent chunk in the ring")
		}
	})
}

func TestSlowReaderSkips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource()
		feed := acquire(t, newFeeds(t, s, Limits{Duration: 20 * time.Second, Lag: 5 * time.Second}))
		defer feed.Release()
		all := numbered(gen.Options{}, 12*time.Second, 1)
		s.give(all[:200]...)
		c := feed.Join()
		first := drain(t, c)
		s.give(all[200:]...)
		synctest.Wait()
		got, err := c.Next(t.Context())
		if err != nil || !c.Skipped() || got[0].Init || !got[0].Independent || got[0].Start != 10*time.Second {
			t.Fatalf("%v, skipped %v: %+v", err, c.Skipped(), got[0])
		}
		if rest := drain(t, c); c.Skipped() || len(rest) > 0 && rest[0].Seq != got[len(got)-1].Seq+1 || len(first) == 0 {
			t.Error("Skipped after the first read, want one skip")
		}
	})
}

func TestEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource()
		f := newFeeds(t, s, Limits{})
		feed := acquire(t, f)
		c := feed.Join()
		in := numbered(gen.Options{}, 3*time.Second, 1)
		s.give(in...)
		s.finish(errOver)
		var got []*Chunk
		for {
			chunks, err := c.Next(t.Context())
			if err != nil {
				if !errors.Is(err, ErrEnded) || !errors.Is(err, errOver) {
					t.Errorf("got error %v", err)
				}
				break
			}
			got = append(got, chunks...)
		}
		readAll(t, got)
		if end := got[len(got)-1]; end.Start+end.Duration < 2990*time.Millisecond {
			t.Errorf("got end of the last chunk at %v", end.Start+end.Duration)
		}
		feed.Release()
		seq := got[len(got)-1].Seq
		time.Sleep(time.Second)
		next := acquire(t, f)
		s.give(numbered(gen.Options{}, 3*time.Second, 1)...)
		if again := drain(t, next.Join()); again[0].Seq <= seq {
			t.Errorf("next feed begins at %d, want it after %d", again[0].Seq, seq)
		}
		next.Release()
		if s.opens != 2 {
			t.Errorf("stream opened %d times", s.opens)
		}
	})
}

// After a change of codec the feed continues on a second subscription, which begins before the
// end of the first.
func TestReopenAfterCodecChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource()
		feed := acquire(t, newFeeds(t, s, Limits{}))
		defer feed.Release()
		c := feed.Join()
		one := numbered(gen.Options{}, 3*time.Second, 1)
		two := later(numbered(gen.Options{Source: 1, AudioCodec: packetbuf.Opus}, 3*time.Second, uint64(len(one))+1), 3*time.Second)
		s.give(one...)
		synctest.Wait()
		got := drain(t, c)
		s.mu.Lock()
		s.before = append(append([]*packetbuf.Packet{one[1]}, one[150:]...), two...)
		s.mu.Unlock()
		s.finish(errAgain)
		synctest.Wait()
		s.finish(errOver)
		for {
			chunks, err := c.Next(t.Context())
			if err != nil {
				break
			}
			got = append(got, chunks...)
		}
		// The reader joined at the newest keyframe, two seconds in.
		var in []*packetbuf.Packet
		for _, p := range append(one, two...) {
			if p.Media() && p.DTS >= 2*time.Second {
				in = append(in, p)
			}
		}
		r := readAll(t, got)
		if len(r.frames[0]) != 120 || len(r.frames[1]) < 190 {
			t.Errorf("got %d video and %d audio frames of %d packets", len(r.frames[0]), len(r.frames[1]), len(in))
		}
	})
}

func TestAcquireAndRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource()
		f := newFeeds(t, s, Limits{})
		a, b := acquire(t, f), acquire(t, f)
		if a != b || s.opens != 1 {
			t.Fatal("got two feeds of one stream")
		}
		a.Release()
		time.Sleep(time.Minute)
		if s.closed() != 0 {
			t.Error("feed closed while in use")
		}
		b.Release()
		time.Sleep(29 * time.Second)
		c := acquire(t, f)
		time.Sleep(time.Minute)
		if c != a || s.closed() != 0 {
			t.Error("feed closed, although it is used again")
		}
		c.Release()
		time.Sleep(31 * time.Second)
		if s.closed() != 1 {
			t.Error("feed not closed after Linger")
		}
		cursor := a.Join()
		if _, err := cursor.Next(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("after Linger: got error %v", err)
		}
		s.refuse = errOver
		if _, err := f.Acquire(t.Context(), "live/cam"); !errors.Is(err, errOver) {
			t.Errorf("open failed: got error %v", err)
		}
		f.Close()
		if _, err := f.Acquire(t.Context(), "live/cam"); !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: got error %v", err)
		}
	})
}

func TestRefusedCodec(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource()
		feed := acquire(t, newFeeds(t, s, Limits{}))
		defer feed.Release()
		s.give(&packetbuf.Packet{Track: packetbuf.Video, Codec: packetbuf.VP8, Kind: packetbuf.Key})
		var refused *CodecError
		if _, err := feed.Join().Next(t.Context()); !errors.As(err, &refused) || refused.Codec != packetbuf.VP8 {
			t.Errorf("VP8: got error %v", err)
		}
	})
}

// BenchmarkRead measures reading; a reader allocates nothing per chunk.
func BenchmarkRead(b *testing.B) {
	r := newRing(1, Limits{})
	c := &cutter{emit: r.append, expects: [2]bool{true, true}, seq: 1}
	for i, p := range media(gen.Options{}, 20*time.Second) {
		p.Arrived, p.Seq = epoch.Add(p.DTS), uint64(i)+1
		if err := c.write(p); err != nil {
			b.Fatal(err)
		}
	}
	cursor := &Cursor{r: r}
	b.ReportAllocs()
	for b.Loop() {
		cursor.next = 2
		for n := 0; n < 190; {
			got, err := cursor.Next(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			n += len(got)
		}
	}
}

func FuzzDescribe(f *testing.F) {
	for _, o := range []gen.Options{{}, {AudioCodec: packetbuf.Opus}, {AudioCodec: packetbuf.MP3}} {
		for _, p := range media(o, 50*time.Millisecond) {
			f.Add(byte(p.Track), byte(p.Codec), p.Kind == packetbuf.Config, p.Payload)
		}
	}
	f.Add(byte(packetbuf.Audio), byte(packetbuf.AC3), false, []byte{0x0b, 0x77, 1, 2, 0x08, 0x40, 0x43, 0x80})
	f.Add(byte(packetbuf.Video), byte(packetbuf.VP9), true, []byte{1, 0, 0, 0, 0, 0, 0x82, 2, 2, 2, 0, 0})
	f.Fuzz(func(t *testing.T, track, codec byte, config bool, payload []byte) {
		c := &cutter{emit: func(*Chunk) {}}
		p := &packetbuf.Packet{Track: packetbuf.Track(track % 2), Codec: packetbuf.Codec(codec % 12), Kind: packetbuf.Key, Payload: payload}
		if config {
			p.Kind = packetbuf.Config
		}
		for range 3 {
			if c.write(p) != nil {
				return
			}
		}
		_ = c.write(&packetbuf.Packet{Track: p.Track, Codec: p.Codec, Kind: packetbuf.Key, DTS: time.Second, Payload: payload})
		c.flush()
	})
}

// Oldest returns everything that the feed holds, from a keyframe on.
func TestOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource()
		feed := acquire(t, newFeeds(t, s, Limits{Duration: 5 * time.Second}))
		defer feed.Release()
		c := feed.Oldest()
		if len(drain(t, c)) != 0 {
			t.Error("got chunks before any packet")
		}
		s.give(numbered(gen.Options{}, 9*time.Second, 1)...)
		synctest.Wait()
		got := drain(t, c)
		if !got[0].Init || !got[1].Independent || got[1].Start != 4*time.Second {
			t.Errorf("got first chunk %+v", got[1])
		}
		readAll(t, got)
	})
}

// A panic while a packet is processed ends the stream's feed. The next Acquire returns a
// working one.
func TestPanicOverAPacketEndsTheFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource()
		feeds := newFeeds(t, s, Limits{})
		feed := acquire(t, feeds)
		defer feed.Release()
		s.give(nil)
		var p *panics.Error
		if _, err := feed.Join().Next(t.Context()); !errors.As(err, &p) {
			t.Errorf("got %v, want a panic's error", err)
		}
		if n := s.closed(); n != 1 {
			t.Errorf("got %d closed subscriptions, want 1", n)
		}
		next := acquire(t, feeds)
		defer next.Release()
		if next == feed {
			t.Error("got the feed that ended")
		}
	})
}
