package stream

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// pushAs publishes as a backup or not.
func (b *bench) pushAs(backup bool, o gen.Options) *push {
	b.t.Helper()
	s := &session{}
	sink, err := b.Publish(b.t.Context(), ingest.Request{App: "live", Name: "cam", Protocol: ingest.RTMP, Backup: backup, Session: s})
	if err != nil {
		b.t.Fatal(err)
	}
	return &push{b: b, sess: s, sink: sink, gen: gen.New(o), began: time.Now(), start: o.Start}
}

// side pushes for d beside others, late by lag; wait for what it returns.
func (p *push) side(d, lag time.Duration) (done chan struct{}) {
	done = make(chan struct{})
	p.began = p.began.Add(lag)
	go func() {
		defer close(done)
		p.run(d)
	}()
	return done
}

// seen is what a viewer had of a stream.
type seen struct {
	*gen.Tally
	frames, splices int
	longest         time.Duration // between two frames
}

// watched reads what r has, and fails where a frame came twice or times went back.
func watched(t *testing.T, r *Reader) seen {
	t.Helper()
	packets, err := drain(t, r)
	if err != nil {
		t.Fatal(err)
	}
	v := seen{Tally: gen.NewTally()}
	last := time.Duration(-1)
	for _, p := range packets {
		if err := v.Add(p); err != nil {
			t.Fatal(err)
		}
		if p.Flags&packetbuf.Splice != 0 {
			v.splices++
		}
		if p.Track == packetbuf.Video && p.Media() {
			if last >= 0 {
				v.longest = max(v.longest, p.DTS-last)
			}
			last = p.DTS
			v.frames++
		}
	}
	return v
}

// whole fails where a frame is missing.
func (v seen) whole(t *testing.T) {
	t.Helper()
	for _, tr := range []packetbuf.Track{packetbuf.Video, packetbuf.Audio} {
		if lost := v.Lost(tr, 0); len(lost) > 0 {
			t.Errorf("%v lost %d: %v", tr, len(lost), lost)
		}
	}
}

// changesAtKeys reads what r has, and fails where frames change from one encoder to the other
// but at a keyframe, or not so many times, or pause.
func changesAtKeys(t *testing.T, r *Reader, times int) {
	t.Helper()
	packets, err := drain(t, r)
	if err != nil {
		t.Fatal(err)
	}
	var last *packetbuf.Packet
	var source uint32
	changes := 0
	for _, p := range packets {
		if p.Track != packetbuf.Video || !p.Media() {
			continue
		}
		if last != nil && (p.DTS <= last.DTS || p.DTS-last.DTS > 2*time.Second) {
			t.Errorf("a frame at %v after one at %v", p.DTS, last.DTS)
		}
		if p.Flags&packetbuf.Filler != 0 {
			last = p
			continue
		}
		id, err := gen.Identify(p)
		switch {
		case err != nil:
			t.Fatal(err)
		case last == nil:
		case id.Source != source:
			if changes++; p.Kind != packetbuf.Key || p.Flags&packetbuf.Splice == 0 {
				t.Errorf("at %v another encoder goes on with a %v", p.DTS, p.Kind)
			}
		}
		last, source = p, id.Source
	}
	if changes != times {
		t.Errorf("the encoders change %d times, want %d", changes, times)
	}
}

// fate of the primary at the n-th of many moments, and how late the standby is.
type fate struct {
	at, lag time.Duration
	cause   ingest.Cause
}

func fates() (out []fate) {
	causes := []ingest.Cause{ingest.Reset, ingest.EOF, ingest.Silence, ingest.ICE, ingest.Unpublish, ingest.Kick}
	for i := range 20 {
		out = append(out, fate{
			at:  4*time.Second + time.Duration(i*317%2300)*time.Millisecond,
			lag: time.Duration(i*83%400-200) * time.Millisecond, cause: causes[i%len(causes)],
		})
	}
	return out
}

func (f fate) String() string {
	return fmt.Sprintf("%s at %v, the standby %v behind", f.cause, f.at, f.lag)
}

// befall breaks the primary.
func (f fate) befall(b *bench, p *push) {
	switch f.cause {
	case ingest.Silence: // it only stops
	case ingest.Kick:
		b.Kick("by the test")
	default:
		p.sink.End(f.cause, "")
	}
}

func quick(c *Config) {
	c.Lag, c.Buffer.Duration, c.BackupReturn = 0, time.Minute, 10*time.Second
}

func TestSpareOfTheSameEncoderLosesNothing(t *testing.T) {
	for _, f := range fates() {
		t.Run(f.String(), func(t *testing.T) {
			story(t, quick, func(b *bench) {
				primary, standby := b.pushAs(false, gen.Options{}), b.pushAs(true, gen.Options{})
				lead := max(0, -f.lag)
				done := standby.side(f.at+5*time.Second, f.lag+lead)
				primary.began = primary.began.Add(lead)
				primary.run(lead + time.Second)
				r := b.attach()
				primary.run(f.at)
				f.befall(b, primary)
				<-done
				if s := b.Snapshot(time.Now()); s.State != lifecycle.Live || !s.OnBackup {
					t.Fatalf("%v, %v", s.State, b.told())
				}
				v := watched(t, r)
				v.whole(t)
				if least := int((f.at + 2*time.Second).Seconds() * 30); v.frames < least || v.splices != 0 {
					t.Errorf("%d frames of %d, %d splices", v.frames, least, v.splices)
				}
				for _, e := range b.told() {
					if e.To == lifecycle.Held && e.Type == State {
						t.Error("it was held")
					}
				}
			})
		})
	}
}

func TestSpareOfAnotherEncoderBeginsWithItsKeyframe(t *testing.T) {
	for _, f := range fates() {
		t.Run(f.String(), func(t *testing.T) {
			story(t, quick, func(b *bench) {
				primary, standby := b.pushAs(false, gen.Options{}), b.pushAs(true, gen.Options{Source: 1, Start: time.Hour})
				lead := max(0, -f.lag)
				done := standby.side(f.at+5*time.Second, f.lag+lead)
				primary.began = primary.began.Add(lead)
				primary.run(lead + time.Second)
				r := b.attach()
				primary.run(f.at)
				f.befall(b, primary)
				<-done
				v := watched(t, r)
				if v.splices != 1 || v.longest > 2*time.Second || b.state() != lifecycle.Live {
					t.Errorf("%d splices, %v without a frame, %v", v.splices, v.longest, b.state())
				}
			})
		})
	}
}

func TestPrimaryGetsTheStreamBack(t *testing.T) {
	for name, source := range map[string]uint32{"the same encoder": 0, "another encoder": 1} {
		t.Run(name, func(t *testing.T) {
			story(t, quick, func(b *bench) {
				began := time.Now()
				primary, standby := b.pushAs(false, gen.Options{}), b.pushAs(true, gen.Options{Source: source})
				done := standby.side(30*time.Second, 150*time.Millisecond)
				primary.run(5 * time.Second)
				r := b.attach()
				primary.sink.End(ingest.Reset, "")
				time.Sleep(2 * time.Second)
				again := b.pushAs(false, gen.Options{})
				again.began = began // the encoder has gone on meanwhile
				again.gen.Until(7 * time.Second)
				again.gen.Configure()
				again.run(9 * time.Second)
				if s := b.Snapshot(time.Now()); !s.OnBackup || s.Spare == nil {
					t.Fatalf("the primary is back too early: %v", b.told())
				}
				again.run(6 * time.Second)
				if s := b.Snapshot(time.Now()); s.OnBackup || s.Spare == nil || s.State != lifecycle.Live {
					t.Fatalf("the primary has not come back: %v", b.told())
				}
				v := watched(t, r)
				if source == 0 {
					v.whole(t)
				}
				if v.longest > 2*time.Second || (v.splices != 0) != (source != 0) {
					t.Errorf("%v without a frame, %d splices", v.longest, v.splices)
				}
				again.sink.End(ingest.EOF, "")
				<-done
				if s := b.Snapshot(time.Now()); !s.OnBackup || s.State != lifecycle.Live {
					t.Errorf("the backup does not take over again: %v", b.told())
				}
			})
		})
	}
}

// TestBackupIsReadyAsSoonAsThePrimaryIsBack: what viewers have just had of it counts, also where
// the primary breaks at once.
func TestBackupIsReadyAsSoonAsThePrimaryIsBack(t *testing.T) {
	for name, source := range map[string]uint32{"the same encoder": 0, "another encoder": 1} {
		t.Run(name, func(t *testing.T) {
			story(t, quick, func(b *bench) {
				began := time.Now()
				primary, standby := b.pushAs(false, gen.Options{}), b.pushAs(true, gen.Options{Source: source})
				done := standby.side(30*time.Second, 150*time.Millisecond)
				primary.run(5 * time.Second)
				r := b.attach()
				primary.sink.End(ingest.Reset, "")
				again := b.pushAs(false, gen.Options{})
				again.began = began // the encoder has gone on meanwhile
				again.gen.Until(5 * time.Second)
				again.gen.Configure()
				for b.Snapshot(time.Now()).OnBackup {
					again.run(10 * time.Millisecond)
				}
				if s := b.Snapshot(time.Now()); !s.Spare.Ready {
					t.Error("the backup is not ready when the primary has the stream")
				}
				again.sink.End(ingest.Reset, "")
				<-done
				if s := b.Snapshot(time.Now()); !s.OnBackup || s.State != lifecycle.Live {
					t.Errorf("%v, %v", s.State, b.told())
				}
				if source == 0 {
					watched(t, r).whole(t)
				} else {
					changesAtKeys(t, r, 3)
				}
				for _, e := range b.told() {
					if e.Type == State && e.To == lifecycle.Held {
						t.Error("it was held")
					}
				}
			})
		})
	}
}

// TestPrimaryThaws: a primary that was silent goes on with the same session.
func TestPrimaryThaws(t *testing.T) {
	story(t, quick, func(b *bench) {
		primary, standby := b.pushAs(false, gen.Options{}), b.pushAs(true, gen.Options{})
		done := standby.side(32*time.Second, 0)
		primary.run(6 * time.Second)
		r := b.attach()
		time.Sleep(3 * time.Second)
		if s := b.Snapshot(time.Now()); !s.OnBackup || primary.sess.closed != "" {
			t.Fatalf("%v, closed: %q", b.told(), primary.sess.closed)
		}
		primary.run(15 * time.Second) // what waited comes at once
		if s := b.Snapshot(time.Now()); s.OnBackup {
			t.Errorf("the primary has not come back: %v", b.told())
		}
		<-done
		watched(t, r).whole(t)
	})
}

func TestBackupAloneFeedsAtOnce(t *testing.T) {
	story(t, quick, func(b *bench) {
		b.pushAs(true, gen.Options{}).run(time.Second)
		if s := b.Snapshot(time.Now()); s.State != lifecycle.Live || !s.OnBackup {
			t.Errorf("%+v", s)
		}
	})
}

func TestSpareThatBreaksChangesNothing(t *testing.T) {
	story(t, quick, func(b *bench) {
		primary, standby := b.pushAs(false, gen.Options{}), b.pushAs(true, gen.Options{})
		done := standby.side(4*time.Second, 0)
		primary.run(2 * time.Second)
		r := b.attach()
		primary.run(time.Minute)
		<-done
		breaks := 0
		for _, e := range b.told() {
			if e.Type == Broke {
				breaks++
			}
		}
		if breaks != 1 || standby.sess.closed != ingest.Silence || b.state() != lifecycle.Live {
			t.Errorf("%d breaks, closed: %q, %v", breaks, standby.sess.closed, b.state())
		}
		if v := watched(t, r); v.splices != 0 {
			t.Errorf("%d splices", v.splices)
		}
	})
}

func TestBackupOfAnotherCodecIsRefused(t *testing.T) {
	story(t, quick, func(b *bench) {
		primary, standby := b.pushAs(false, gen.Options{}), b.pushAs(true, gen.Options{})
		primary.run(time.Second)
		err := standby.sink.Write(&packetbuf.Packet{Track: packetbuf.Video, Codec: packetbuf.VP8, Kind: packetbuf.Key, Payload: []byte{0}})
		if err == nil || standby.sess.closed != ingest.Protocol || b.Snapshot(time.Now()).Spare != nil {
			t.Errorf("%v, closed: %q", err, standby.sess.closed)
		}
	})
}

// keyed is a session that makes keyframes when it is asked.
type keyed struct {
	session
	asked atomic.Int32
}

func (k *keyed) RequestKey() { k.asked.Add(1) }

// TestSpareIsAskedForKeyframes: one that makes them only when asked would take viewers far back.
func TestSpareIsAskedForKeyframes(t *testing.T) {
	story(t, quick, func(b *bench) {
		primary := b.pushAs(false, gen.Options{})
		k := &keyed{}
		sink, err := b.Publish(t.Context(), ingest.Request{App: "live", Name: "cam", Protocol: ingest.WHIP, Backup: true, Session: k})
		if err != nil {
			t.Fatal(err)
		}
		standby := &push{b: b, sess: &k.session, sink: sink, gen: gen.New(gen.Options{Source: 1, GOP: 1 << 20}), began: time.Now()}
		done := standby.side(5*time.Second, 0)
		primary.run(1900 * time.Millisecond)
		early := k.asked.Load()
		primary.run(2 * time.Second)
		if early != 0 || k.asked.Load() == 0 {
			t.Errorf("asked %d times within two seconds of its keyframe, %d later", early, k.asked.Load())
		}
		<-done
	})
}
