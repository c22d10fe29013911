package app

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// What one cause may log: so many lines at once, and then one each linesEvery.
	linesBurst = 50
	linesEvery = 500 * time.Millisecond
	// mostCauses bounds how many causes are told apart; those beyond share one.
	mostCauses = 1000
)

// lineLimit bounds how many lines of one cause are logged: most of them a stranger can cause at will.
// A cause is a message of a component, with its outcome or cause. How many lines were suppressed stands
// in the next one.
type lineLimit struct {
	mu     sync.Mutex // guards all below
	causes map[lineCause]*lineBucket
}

type lineCause struct {
	level                         slog.Level
	component, message, what, why string
}

type lineBucket struct {
	used       time.Duration // of linesBurst times linesEvery
	at         time.Time
	suppressed int
}

// take reports whether a line may be logged, and how many of its cause were suppressed before it.
func (l *lineLimit) take(now time.Time, c lineCause) (suppressed int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.causes[c]
	if b == nil {
		if len(l.causes) >= mostCauses {
			l.forget(now)
		}
		if len(l.causes) >= mostCauses {
			c = lineCause{level: c.level}
			b = l.causes[c]
		}
	}
	if b == nil {
		b = &lineBucket{}
		l.causes[c] = b
	}
	b.used, b.at = max(0, b.used-max(0, now.Sub(b.at))), now
	if b.used+linesEvery > linesBurst*linesEvery {
		b.suppressed++
		return 0, false
	}
	b.used += linesEvery
	suppressed, b.suppressed = b.suppressed, 0
	return suppressed, true
}

// forget drops causes that have not been heard of for as long as their whole burst takes. l.mu is held.
func (l *lineLimit) forget(now time.Time) {
	for c, b := range l.causes {
		if now.Sub(b.at) >= linesBurst*linesEvery {
			delete(l.causes, c)
		}
	}
}

// limitedHandler is a slog.Handler that keeps to a lineLimit.
type limitedHandler struct {
	next      slog.Handler
	limit     *lineLimit
	component string
}

// limitLines returns log with the lines of each cause bounded.
func limitLines(log *slog.Logger) *slog.Logger {
	return slog.New(&limitedHandler{next: log.Handler(), limit: &lineLimit{causes: map[lineCause]*lineBucket{}}})
}

// Enabled implements slog.Handler.
func (h *limitedHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h *limitedHandler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelInfo {
		return h.next.Handle(ctx, r) // who asks for debugging wants all
	}
	c := lineCause{level: r.Level, component: h.component, message: r.Message}
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "outcome", "kind":
			c.what = a.Value.String()
		case "cause":
			c.why = a.Value.String()
		}
		return true
	})
	suppressed, ok := h.limit.take(r.Time, c)
	if !ok {
		return nil
	}
	if suppressed > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int("suppressed", suppressed))
	}
	return h.next.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h *limitedHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	out := *h
	out.next = h.next.WithAttrs(attrs)
	for _, a := range attrs {
		if a.Key == "component" {
			out.component = a.Value.String()
		}
	}
	return &out
}

// WithGroup implements slog.Handler.
func (h *limitedHandler) WithGroup(name string) slog.Handler {
	out := *h
	out.next = h.next.WithGroup(name)
	return &out
}
