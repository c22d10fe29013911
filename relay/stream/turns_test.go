package stream

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// TestFlappingPrimaryWaitsLonger: the second time it has to be healthy for twice as long, and
// whoever looks is told.
func TestFlappingPrimaryWaitsLonger(t *testing.T) {
	story(t, quick, func(b *bench) {
		began := time.Now()
		done := b.pushAs(true, gen.Options{Source: 1}).side(90*time.Second, 0)
		returns := func(want time.Duration) {
			t.Helper()
			p := b.pushAs(false, gen.Options{Start: time.Since(began)})
			p.run(time.Second)
			s := b.Snapshot(time.Now())
			if s.Spare == nil || s.Spare.ReturnsIn == nil || (*s.Spare.ReturnsIn-want+time.Second).Abs() > 50*time.Millisecond {
				t.Fatalf("after a second of %v: %+v", want, s.Spare)
			}
			p.run(want - 2*time.Second)
			if s := b.Snapshot(time.Now()); !s.OnBackup {
				t.Fatalf("it has the stream too early: %v", b.told())
			}
			p.run(4 * time.Second)
			if s := b.Snapshot(time.Now()); s.OnBackup || s.Spare.ReturnsIn != nil {
				t.Fatalf("it has the stream not back after %v: %v", want, b.told())
			}
			p.sink.End(ingest.Reset, "")
		}
		time.Sleep(time.Second)
		for _, wait := range []time.Duration{10 * time.Second, 20 * time.Second, 40 * time.Second} {
			returns(wait)
		}
		<-done
		details := []string{}
		for _, e := range b.told() {
			if e.Type == BackupOn {
				details = append(details, e.Detail)
			}
		}
		if len(details) != 3 || !strings.HasSuffix(details[0], "20s") || !strings.HasSuffix(details[2], "1m20s") {
			t.Errorf("%q", details)
		}
	})
}

// called is a session with a name of its own.
type called struct {
	session
	id string
}

func (c *called) ID() string { return c.id }

// TestSwitchesNameWhoIsFollowed: events tell who feeds now, who did before and why, and which
// breaks were of one that was only held warm.
func TestSwitchesNameWhoIsFollowed(t *testing.T) {
	story(t, quick, func(b *bench) {
		began := time.Now()
		push := func(id string, source uint32, backup bool) *push {
			c := &called{id: id}
			sink, err := b.Publish(t.Context(), ingest.Request{App: "live", Name: "cam", Protocol: ingest.RTMP, Backup: backup, Session: c})
			if err != nil {
				t.Fatal(err)
			}
			return &push{b: b, sess: &c.session, sink: sink, gen: gen.New(gen.Options{Source: source, Start: time.Since(began)}), began: time.Now(), start: time.Since(began)}
		}
		one, idle, two := push("one", 0, false), push("idle", 1, true), push("two", 1, true)
		done := two.side(26*time.Second, 0)
		one.run(3 * time.Second)
		one.sink.End(ingest.Reset, "")
		three := push("three", 0, false)
		three.run(15 * time.Second)
		three.sink.End(ingest.Unpublish, "")
		four := push("four", 0, false)
		four.run(3 * time.Second)
		four.sink.End(ingest.EOF, "")
		<-done
		idle.sink.End(ingest.Reset, "") // it had been taken over from
		var got []string
		for _, e := range b.told() {
			switch e.Type {
			case Broke:
				got = append(got, fmt.Sprintf("%s broke: %s, backup %v, standby %v", e.Session, e.Cause, e.Backup, e.Standby))
			case BackupOn, BackupOff:
				got = append(got, fmt.Sprintf("%s: %s after %s: %s", e.Type, e.Session, e.After, e.Cause))
			default:
			}
		}
		want := []string{
			"idle broke: takeover, backup true, standby true",
			"one broke: reset, backup false, standby false", "backup_on: two after one: reset",
			"backup_off: three after two: ",
			"three broke: unpublish, backup false, standby false", "backup_on: two after three: unpublish",
			"four broke: eof, backup false, standby true",
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q\nwant %q", got, want)
		}
	})
}

// silences are the events of tracks, in order.
func (b *bench) silences() (out []string) {
	for _, e := range b.told() {
		if e.Type == TrackSilent {
			out = append(out, e.Track+" "+e.Outcome)
		}
	}
	return out
}

// TestSpareWithoutPictureIsNotReady: nobody is given a frame that stopped long ago, and where
// it is back the standby takes over.
func TestSpareWithoutPictureIsNotReady(t *testing.T) {
	story(t, quick, func(b *bench) {
		primary, standby := b.pushAs(false, gen.Options{}), b.pushAs(true, gen.Options{Source: 1})
		primary.side(18*time.Second, 0)
		standby.run(8 * time.Second)
		if s := b.Snapshot(time.Now()); !s.Spare.Ready {
			t.Fatal("not ready with a frame")
		}
		r := b.attach()
		standby.skip = func(p *packetbuf.Packet) bool { return p.Track == packetbuf.Video }
		standby.run(5 * time.Second)
		if s := b.Snapshot(time.Now()); s.Spare.Ready || !slices.Equal(b.silences(), []string{"video silent"}) {
			t.Errorf("ready: %v, %q", s.Spare.Ready, b.silences())
		}
		standby.run(8 * time.Second) // the primary stops meanwhile
		if s := b.Snapshot(time.Now()); s.State != lifecycle.Held || s.OnBackup {
			t.Errorf("%v, on backup: %v", s.State, s.OnBackup)
		}
		standby.skip = nil
		standby.run(3 * time.Second)
		if s := b.Snapshot(time.Now()); s.State != lifecycle.Live || !s.OnBackup || !slices.Equal(b.silences(), []string{"video silent", "video back"}) {
			t.Errorf("%v, on backup: %v, %q", s.State, s.OnBackup, b.silences())
		}
		changesAtKeys(t, r, 1)
	})
}

// TestPrimaryWithoutPictureIsNotWell: its audio alone brings it nothing, and it is healthy from
// when the frame is back.
func TestPrimaryWithoutPictureIsNotWell(t *testing.T) {
	story(t, quick, func(b *bench) {
		b.pushAs(true, gen.Options{Source: 1}).side(time.Minute, 0)
		time.Sleep(time.Second)
		primary := b.pushAs(false, gen.Options{})
		primary.run(7 * time.Second)
		primary.skip = func(p *packetbuf.Packet) bool { return p.Track == packetbuf.Video }
		primary.run(15 * time.Second)
		if s := b.Snapshot(time.Now()); s.Spare == nil || s.Spare.ReturnsIn == nil || *s.Spare.ReturnsIn < 8*time.Second {
			t.Errorf("it returns although its frame is away: %+v", s.Spare)
		}
		primary.skip = nil
		primary.run(9 * time.Second)
		if s := b.Snapshot(time.Now()); !s.OnBackup || !s.Spare.Ready {
			t.Errorf("it has the stream although its frame was away: %v", b.told())
		}
		primary.run(4 * time.Second)
		if s := b.Snapshot(time.Now()); s.OnBackup {
			t.Errorf("it has not got the stream back: %v", b.told())
		}
		time.Sleep(30 * time.Second)
	})
}

// TestSpareWithAHoleIsNotReady: what a standby sent before it was silent leads nowhere, unless it goes
// on where it had stopped.
func TestSpareWithAHoleIsNotReady(t *testing.T) {
	for name, waits := range map[string]bool{"it sends nothing": false, "what it sends waits": true} {
		t.Run(name, func(t *testing.T) {
			story(t, quick, func(b *bench) {
				primary, standby := b.pushAs(false, gen.Options{}), b.pushAs(true, gen.Options{Source: 1, GOP: 300})
				primary.side(5*time.Second, 0)
				standby.run(4400 * time.Millisecond)
				r := b.attach()
				if waits {
					time.Sleep(4 * time.Second)
				} else {
					standby.skip = func(*packetbuf.Packet) bool { return true }
					standby.run(4 * time.Second)
					standby.skip = nil
				}
				if s := b.Snapshot(time.Now()); s.State != lifecycle.Held || s.Spare.Ready {
					t.Errorf("%v, ready: %v", s.State, s.Spare.Ready)
				}
				standby.run(100 * time.Millisecond)
				if live := b.state() == lifecycle.Live; live != waits {
					t.Errorf("live before its keyframe: %v", live)
				}
				standby.run(3 * time.Second)
				if s := b.Snapshot(time.Now()); s.State != lifecycle.Live || !s.OnBackup {
					t.Errorf("%v, on backup: %v", s.State, s.OnBackup)
				}
				changesAtKeys(t, r, 1)
			})
		})
	}
}
