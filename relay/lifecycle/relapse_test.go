package lifecycle

import (
	"fmt"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
)

// flapper is a primary that breaks again and again beside a backup that never does.
type flapper struct {
	*harness
	id      ID
	returns int
}

// beat lets a second pass in which both send a keyframe.
func (f *flapper) beat() {
	f.now = f.now.Add(time.Second)
	for _, id := range []ID{1, f.id} {
		f.last[id], f.keys[id] = f.now, true
		_, effects := f.m.Media(f.now, id, true)
		for _, e := range effects {
			if e.Kind == Turned && e.ID != 1 {
				f.returns++
			}
		}
	}
}

// up lets a new session of the primary publish for d, and then break.
func (f *flapper) up(d time.Duration) {
	f.id++
	f.m.Publish(f.now, f.id, false)
	for range int(d / time.Second) {
		f.beat()
	}
	f.m.End(f.now, f.id, ingest.Reset)
}

func newFlapper(cfg Config) *flapper {
	f := &flapper{harness: newHarness(cfg), id: 1}
	f.m.Publish(f.now, 1, true)
	f.beat()
	return f
}

// However long a flapping primary lasts each time, it returns rarely, or it stays for long.
func TestFlappingPrimaryReturnsRarely(t *testing.T) {
	for lasts := 11 * time.Second; lasts < 5*time.Minute; lasts += 7 * time.Second {
		t.Run(fmt.Sprint(lasts), func(t *testing.T) {
			f := newFlapper(reference)
			begun := f.now
			for f.now.Sub(begun) < time.Hour {
				f.up(lasts)
			}
			if lasts-reference.BackupReturn >= healthyFactor*reference.BackupReturn {
				if want := int(time.Hour / lasts); f.returns < want || f.m.ReturnAfter() != reference.BackupReturn {
					t.Errorf("got %d returns, want %d; next after %v", f.returns, want, f.m.ReturnAfter())
				}
				return
			}
			if f.returns == 0 || f.returns > maxRelapses+1 {
				t.Errorf("primary had the stream %d times in an hour", f.returns)
			}
		})
	}
}

// A primary returns in the end, and after it has fed for long it returns as soon as any.
func TestHealthyPrimaryIsRestored(t *testing.T) {
	f := newFlapper(reference)
	for range 10 {
		f.up(f.m.ReturnAfter() + 2*time.Second)
	}
	most := reference.BackupReturn << maxRelapses
	if f.m.ReturnAfter() != most {
		t.Fatalf("after ten relapses: got wait %v, want %v", f.m.ReturnAfter(), most)
	}
	f.up(most + healthyFactor*most + 2*time.Second)
	if f.m.ReturnAfter() != reference.BackupReturn {
		t.Errorf("after long health: got wait %v", f.m.ReturnAfter())
	}
}

func TestReturnIsBounded(t *testing.T) {
	for set, want := range map[time.Duration]time.Duration{
		0: 16 * time.Second, 10 * time.Second: 160 * time.Second, time.Minute: 10 * time.Minute, time.Hour: time.Hour, 24 * time.Hour: 24 * time.Hour,
	} {
		m := New(Config{BackupReturn: set}, newHarness(reference))
		if m.ReturnAfter() != set {
			t.Errorf("%v configured: got wait %v without a relapse", set, m.ReturnAfter())
		}
		for range 100 {
			m.relapse.switched(epoch, true, m.ReturnAfter())
			m.relapse.switched(epoch, false, m.ReturnAfter())
		}
		if got := m.ReturnAfter(); got != want {
			t.Errorf("%v configured: got wait %v after many relapses, want %v", set, got, want)
		}
	}
}
