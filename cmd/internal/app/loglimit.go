package app

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

const (
	// What one cause may log: so many lines at once, and then one each linesEvery.
	linesBurst = 50
	linesEvery = 500 * time.Millisecond
	// mostCauses bounds how many causes are told apart; those beyond share one.
	mostCauses = 1000

	// What one cause may log of one stream before the cause's bound counts.
	streamLines  = 3
	streamWindow = 10 * time.Second
	// mostStreams bounds how many causes of streams are told apart within streamWindow; those beyond have
	// the cause's bound alone. Refusals may be half of them: a stranger chooses the names in those.
	mostStreams = 200

	// flushAfter is how long after the last suppressed line of a cause the number of them is logged.
	flushAfter = 10 * time.Second
)

// lineLimit bounds how many lines of one cause are logged: most of them a stranger can cause at will.
// A cause is a message of a component, with its outcome or cause. A few lines of each stream do not count:
// else a stranger who floods one stream's would suppress those of another. How many lines were suppressed
// stands in the next one of the cause, or in a line of its own where none follows.
type lineLimit struct {
	report func(c lineCause, suppressed int) // logs a line of its own; l.mu is not held

	mu       sync.Mutex // guards all below
	causes   map[lineCause]*lineBucket
	streams  map[streamCause]*streamBucket
	refusals int         // of streams
	timer    *time.Timer // calls flush; nil: nothing is suppressed
}

type lineCause struct {
	level                         slog.Level
	component, message, what, why string
}

// refusal reports whether the line is about a request that was refused.
func (c *lineCause) refusal() bool { return strings.HasPrefix(c.what, "refused") }

type lineBucket struct {
	used       time.Duration // of linesBurst times linesEvery
	at         time.Time
	suppressed int
}

type streamCause struct {
	lineCause
	stream string
}

type streamBucket struct {
	since time.Time
	lines int
}

// unreported is what a cause has suppressed and no line has told.
type unreported struct {
	lineCause
	suppressed int
}

// take reports whether a line may be logged, and how many of its cause were suppressed before it. stream may
// be empty.
func (l *lineLimit) take(now time.Time, c lineCause, stream string) (suppressed int, ok bool) {
	suppressed, ok, evicted := l.count(now, c, stream)
	for _, u := range evicted {
		l.report(u.lineCause, u.suppressed)
	}
	return suppressed, ok
}

func (l *lineLimit) count(now time.Time, c lineCause, stream string) (suppressed int, ok bool, evicted []unreported) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if stream != "" && l.takeOfStream(now, streamCause{c, stream}) {
		if b := l.causes[c]; b != nil {
			suppressed, b.suppressed = b.suppressed, 0
		}
		return suppressed, true, nil
	}
	b := l.causes[c]
	if b == nil {
		if len(l.causes) >= mostCauses {
			evicted = l.forget(now)
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
		if l.timer == nil {
			l.timer = time.AfterFunc(flushAfter, l.flush)
		}
		return 0, false, evicted
	}
	b.used += linesEvery
	suppressed, b.suppressed = b.suppressed, 0
	return suppressed, true, evicted
}

// takeOfStream reports whether a line is among the few of its stream. l.mu is held.
func (l *lineLimit) takeOfStream(now time.Time, c streamCause) bool {
	b := l.streams[c]
	if b == nil {
		if !l.roomForStream(c) {
			l.forgetStreams(now)
		}
		if !l.roomForStream(c) {
			return false
		}
		b = &streamBucket{since: now}
		l.streams[c] = b
		if c.refusal() {
			l.refusals++
		}
	}
	if now.Sub(b.since) >= streamWindow {
		*b = streamBucket{since: now}
	}
	b.lines++
	return b.lines <= streamLines
}

func (l *lineLimit) roomForStream(c streamCause) bool {
	return len(l.streams) < mostStreams && (!c.refusal() || l.refusals < mostStreams/2)
}

// forgetStreams drops streams whose window is over. l.mu is held.
func (l *lineLimit) forgetStreams(now time.Time) {
	for c, b := range l.streams {
		if now.Sub(b.since) >= streamWindow {
			delete(l.streams, c)
			if c.refusal() {
				l.refusals--
			}
		}
	}
}

// forget drops causes that have not been heard of for as long as their whole burst takes, and returns what
// they have suppressed. l.mu is held.
func (l *lineLimit) forget(now time.Time) (evicted []unreported) {
	for c, b := range l.causes {
		if now.Sub(b.at) >= linesBurst*linesEvery {
			if b.suppressed > 0 {
				evicted = append(evicted, unreported{c, b.suppressed})
			}
			delete(l.causes, c)
		}
	}
	return evicted
}

// flush reports what was suppressed of causes that are silent since, and comes again for the others.
func (l *lineLimit) flush() {
	for _, u := range l.due(time.Now()) {
		l.report(u.lineCause, u.suppressed)
	}
}

func (l *lineLimit) due(now time.Time) (due []unreported) {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := time.Duration(0)
	for c, b := range l.causes {
		if b.suppressed == 0 {
			continue
		}
		left := flushAfter - now.Sub(b.at)
		if left <= 0 {
			due = append(due, unreported{c, b.suppressed})
			b.suppressed = 0
		} else if next == 0 || left < next {
			next = left
		}
	}
	l.timer = nil
	if next > 0 {
		l.timer = time.AfterFunc(min(next, flushAfter), l.flush)
	}
	return due
}

// limitedHandler is a slog.Handler that keeps to a lineLimit.
type limitedHandler struct {
	next      slog.Handler
	limit     *lineLimit
	component string
	stream    string
}

// limitLines returns log with the lines of each cause bounded.
func limitLines(log *slog.Logger) *slog.Logger {
	limit := &lineLimit{
		report: func(c lineCause, suppressed int) { reportSuppressed(log, c, suppressed) },
		causes: map[lineCause]*lineBucket{}, streams: map[streamCause]*streamBucket{},
	}
	return slog.New(&limitedHandler{next: log.Handler(), limit: limit})
}

// reportSuppressed logs how many lines of a cause were suppressed.
func reportSuppressed(log *slog.Logger, c lineCause, suppressed int) {
	var attrs []slog.Attr
	for _, a := range []slog.Attr{
		slog.String("component", c.component), slog.String("message", c.message), slog.String("outcome", c.what), slog.String("cause", c.why),
	} {
		if a.Value.String() != "" {
			attrs = append(attrs, a)
		}
	}
	log.LogAttrs(context.Background(), c.level, "lines suppressed", append(attrs, slog.Int("suppressed", suppressed))...)
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
	stream := h.stream
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "stream":
			stream = a.Value.String()
		case "outcome", "kind":
			c.what = a.Value.String()
		case "cause":
			c.why = a.Value.String()
		}
		return true
	})
	suppressed, ok := h.limit.take(r.Time, c, stream)
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
		switch a.Key {
		case "component":
			out.component = a.Value.String()
		case "stream":
			out.stream = a.Value.String()
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
