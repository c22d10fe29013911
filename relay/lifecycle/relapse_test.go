package lifecycle

import (
	"fmt"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
)

// flapper is a primary that breaks again and again beside a backup that never does.
type flapper struct {
	*desk
	id      ID
	returns int
}

// beat is a second in which both send a keyframe.
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

// up has a new session of the primary push for d, and then break.
func (f *flapper) up(d time.Duration) {
	f.id++
	f.m.Publish(f.now, f.id, false)
	for range int(d / time.Second) {
		f.beat()
	}
	f.m.End(f.now, f.id, ingest.Reset)
}

func newFlapper(cfg Config) *flapper {
	f := &flapper{desk: newDesk(cfg), id: 1}
	f.m.Publish(f.now, 1, true)
	f.beat()
	return f
}

// TestFlappingPrimaryLosesItsTurn: however long a primary lasts each time, it comes back seldom,
// or it stays for long.
func TestFlappingPrimaryLosesItsTurn(t *testing.T) {
	for lasts := 11 * time.Second; lasts < 5*time.Minute; lasts += 7 * time.Second {
		t.Run(fmt.Sprint(lasts), func(t *testing.T) {
			f := newFlapper(reference)
			begun := f.now
			for f.now.Sub(begun) < time.Hour {
				f.up(lasts)
			}
			if lasts-reference.BackupReturn >= wellAfter*reference.BackupReturn {
				if want := int(time.Hour / lasts); f.returns < want || f.m.ReturnAfter() != reference.BackupReturn {
					t.Errorf("%d returns of %d, then after %v", f.returns, want, f.m.ReturnAfter())
				}
				return
			}
			if f.returns == 0 || f.returns > relapses+1 {
				t.Errorf("it had the stream %d times in an hour", f.returns)
			}
		})
	}
}

// TestPrimaryThatIsWellCountsAgain: it is let back in the end, and having fed for long it returns
// as soon as any.
func TestPrimaryThatIsWellCountsAgain(t *testing.T) {
	f := newFlapper(reference)
	for range 10 {
		f.up(f.m.ReturnAfter() + 2*time.Second)
	}
	most := reference.BackupReturn << relapses
	if f.m.ReturnAfter() != most {
		t.Fatalf("after ten relapses it waits %v, want %v", f.m.ReturnAfter(), most)
	}
	f.up(most + wellAfter*most + 2*time.Second)
	if f.m.ReturnAfter() != reference.BackupReturn {
		t.Errorf("well for long, it waits %v", f.m.ReturnAfter())
	}
}

func TestReturnIsBounded(t *testing.T) {
	for set, want := range map[time.Duration]time.Duration{
		0: 16 * time.Second, 10 * time.Second: 160 * time.Second, time.Minute: 10 * time.Minute, time.Hour: time.Hour, 24 * time.Hour: 24 * time.Hour,
	} {
		m := New(Config{BackupReturn: set}, newDesk(reference))
		if m.ReturnAfter() != set {
			t.Errorf("%v set, and it waits %v without a relapse", set, m.ReturnAfter())
		}
		for range 100 {
			m.relapse.turned(epoch, true, m.ReturnAfter())
			m.relapse.turned(epoch, false, m.ReturnAfter())
		}
		if got := m.ReturnAfter(); got != want {
			t.Errorf("%v set, and after many relapses it waits %v, want %v", set, got, want)
		}
	}
}
