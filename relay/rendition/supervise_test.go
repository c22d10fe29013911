package rendition

import (
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
)

// cat copies its input: a transcode that changes nothing.
const cat = "exec cat"

func TestChildEndsWhenNobodyWantsIt(t *testing.T) {
	l := newLab(t, fake(t, cat))
	l.timing.lease = 200 * time.Millisecond
	l.audience = 1
	hopeless := l.want()
	l.until("it is made", func() bool { return l.Makes(full) })
	if again := l.want(); again != hopeless {
		t.Error("a second one was begun")
	}
	until := time.Now().Add(time.Second)
	l.until("the lease is over", func() bool { return time.Now().After(until) })
	if isClosed(hopeless) {
		t.Fatal("rendition ended although it has viewers")
	}
	l.mu.Lock()
	l.audience = 0
	l.mu.Unlock()
	l.until("it is over", func() bool { return isClosed(hopeless) })
	if _, ends := l.got(); len(ends) != 1 || ends[0] != ingest.Unpublish || l.Makes(full) {
		t.Errorf("ended by %v", ends)
	}
	l.want()
	l.until("it is made again", func() bool { return l.Makes(full) })
}

func TestFailuresAreTriedAgainAndGivenUp(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		cause  ingest.Cause // with which it was published; empty: it never was
		said   string
	}{
		"crash":           {"echo out of luck >&2; exit 3", "", "out of luck"},
		"crash with work": {"exec 3<&0; cat <&3 & sleep 0.4; kill $!; exit 1", ingest.EOF, ""},
		"garbage":         {"yes no flash video", "", "malformed"},
		"hang":            {"cat >/dev/null", "", errSilent.Error()},
		"deaf":            {"exec sleep 1000", "", errSilent.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, fake(t, c.script))
			hopeless := l.want()
			l.until("it is given up", func() bool { return isClosed(hopeless) })
			packets, ends := l.got()
			if c.cause == "" && (len(packets) > 0 || len(ends) > 0) {
				t.Errorf("got %d packets, ended by %v", len(packets), ends)
			}
			for _, cause := range ends {
				if cause != c.cause {
					t.Errorf("ended by %v", ends)
				}
			}
			if said := l.said(); !strings.Contains(said, c.said) || strings.Count(said, "transcode failed") != 2 {
				t.Errorf("it said %s", said)
			}
			// It is not restarted for a while, and then tried again.
			if taps := l.source.taps; !isClosed(l.want()) || l.source.taps != taps {
				t.Error("it was begun again at once")
			}
			l.until("it is tried again", func() bool { return !isClosed(l.want()) })
		})
	}
}

// A child that does not keep up is restarted.
func TestTooSlow(t *testing.T) {
	t.Parallel()
	l := newLab(t, fake(t, "while head -c 4000; do sleep 0.2; done"))
	l.want()
	l.until("it is begun again", func() bool { _, ends := l.got(); return len(ends) == 1 && l.Makes(full) })
	if _, ends := l.got(); ends[0] != ingest.Silence || !strings.Contains(l.said(), errBehind.Error()) {
		t.Errorf("ended by %v", ends)
	}
}

// Processes that a child has started end with it.
func TestGrandchildrenGoToo(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("looks into /proc")
	}
	name := t.TempDir() + "/pids"
	l := newLab(t, fake(t, "sleep 1000 & echo $$ $! >>"+name+"; exec cat"))
	l.want()
	l.until("it is made", func() bool { return l.Makes(full) })
	l.Close()
	pids, err := os.ReadFile(name)
	if err != nil || len(strings.Fields(string(pids))) != 2 {
		t.Fatalf("got %s, %v", pids, err)
	}
	for _, pid := range strings.Fields(string(pids)) {
		l.until(pid+" is gone", func() bool {
			stat, err := os.ReadFile("/proc/" + pid + "/stat")
			return err != nil || strings.Contains(string(stat), ") Z ")
		})
	}
}

func TestNoProgram(t *testing.T) {
	l := newLab(t, "no-such-ffmpeg")
	for range 3 {
		if !isClosed(l.want()) {
			t.Fatal("there is hope without a program")
		}
	}
	l.Reconfigure()
	l.want()
	if said := l.said(); strings.Count(said, "install it") != 2 { // once, and once after the reload
		t.Error(said)
	}
}

func TestLimit(t *testing.T) {
	l := newLab(t, fake(t, cat))
	l.configured = []Rendition{low, {Name: "a", Height: 100, Bits: 1000}, {Name: "b", Height: 100, Bits: 1000}}
	l.want()
	if c, ok := l.Want(parent + "~a"); !ok || isClosed(c) {
		t.Error("the second was refused")
	}
	if c, ok := l.Want(parent + "~b"); !ok || !isClosed(c) {
		t.Error("the third was not refused")
	}
	if !strings.Contains(l.said(), "limits.transcodes") {
		t.Error(l.said())
	}
	l.SetMax(3)
	l.until("there is room", func() bool { c, ok := l.Want(parent + "~b"); return ok && !isClosed(c) })
}

func TestNotToBeHad(t *testing.T) {
	l := newLab(t, fake(t, cat))
	for _, name := range []string{"live/cam", "live/cam~720p", "live/other~180p", "", "~"} {
		if _, ok := l.Want(name); ok {
			t.Errorf("%q is to be had", name)
		}
	}
	l.taken = true
	if _, ok := l.Want(full); ok {
		t.Error("rendition was made although it has another publisher")
	}
	l.taken, l.source.over = false, true
	if _, ok := l.Want(full); ok {
		t.Error("it is made of a stream that is not live")
	}
}

// A rendition with another publisher is left to it.
func TestPublisherWins(t *testing.T) {
	t.Run("before", func(t *testing.T) {
		l := newLab(t, fake(t, cat))
		l.target.refuse = &ingest.Refusal{Outcome: ingest.RefusedTakeover, Reason: "another push is live"}
		hopeless := l.want()
		l.until("it is given up", func() bool { return isClosed(hopeless) })
		if !isClosed(l.want()) {
			t.Error("it is tried again at once")
		}
	})
	t.Run("after", func(t *testing.T) {
		l := newLab(t, fake(t, cat))
		hopeless := l.want()
		l.until("it is made", func() bool { return l.Makes(full) })
		l.target.mu.Lock()
		s := l.target.sessions[0]
		l.target.mu.Unlock()
		if s.App != "live" || s.Name != "cam~180p" || s.Protocol != ingest.Transcode || s.Session.ID() == "" {
			t.Errorf("published as %+v", s)
		}
		s.Session.Close(ingest.Takeover, "another push has taken over this stream")
		l.until("it is given up", func() bool { return isClosed(hopeless) })
		if _, ends := l.got(); len(ends) != 1 || ends[0] != ingest.Takeover {
			t.Errorf("ended by %v", ends)
		}
	})
}

// When a stream rejects the rendition's session, another session follows.
func TestSinkFails(t *testing.T) {
	l := newLab(t, fake(t, cat))
	l.target.write = errors.New("superseded")
	hopeless := l.want()
	l.until("it is given up", func() bool { return isClosed(hopeless) })
	if len(l.target.sessions) != 3 {
		t.Errorf("got %d sessions", len(l.target.sessions))
	}
}

func TestReconfigure(t *testing.T) {
	l := newLab(t, fake(t, cat))
	hopeless := l.want()
	l.until("it is made", func() bool { return l.Makes(full) })
	l.Reconfigure() // nothing changed
	l.mu.Lock()
	l.configured = []Rendition{{Name: low.Name, Height: low.Height, Bits: 2 * low.Bits}}
	l.mu.Unlock()
	l.Reconfigure()
	l.until("it is made anew", func() bool { _, ends := l.got(); return len(ends) == 1 && l.Makes(full) })
	l.mu.Lock()
	l.configured = nil
	l.mu.Unlock()
	l.Reconfigure()
	l.until("it is over", func() bool { return isClosed(hopeless) })
	if _, ends := l.got(); len(ends) != 2 || ends[1] != ingest.Unpublish {
		t.Errorf("ended by %v", ends)
	}
}

// While a stream pauses, its child owes no output.
func TestHeldStream(t *testing.T) {
	l := newLab(t, fake(t, cat))
	hopeless := l.want()
	l.until("it is made", func() bool { return l.Makes(full) })
	l.source.mu.Lock()
	l.source.silent = true
	l.source.mu.Unlock()
	until := time.Now().Add(2 * l.timing.hang)
	l.until("time passes", func() bool { return time.Now().After(until) })
	if _, ends := l.got(); len(ends) > 0 || isClosed(hopeless) {
		t.Errorf("ended by %v", ends)
	}
}

// A child gets only the environment variables that it needs.
func TestEnvironment(t *testing.T) {
	t.Setenv("HOLDFAST_SECRET", "hunter2")
	name := t.TempDir() + "/env"
	l := newLab(t, fake(t, "env >"+name+"; nice >>"+name+"; exec cat"))
	l.want()
	l.until("it is made", func() bool { return l.Makes(full) })
	got, err := os.ReadFile(name)
	if err != nil || strings.Contains(string(got), "hunter2") || !strings.Contains(string(got), "PATH=") {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestLastWordsAreBounded(t *testing.T) {
	w := &lastLines{}
	for range 1000 {
		_, _ = w.Write([]byte(strings.Repeat("x", 3*maxLine)))
	}
	_, _ = w.Write([]byte("\n\n\nfirst\nse"))
	_, _ = w.Write([]byte("cond\n3\n4\n5\n6\nlast"))
	got := w.lines()
	if len(got) != maxLines || got[0] != "second" || got[maxLines-1] != "last" {
		t.Errorf("got %q", got)
	}
}
