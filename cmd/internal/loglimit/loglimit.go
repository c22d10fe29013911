// Package loglimit limits the number of log lines per cause, because clients can cause most log lines at
// will.
package loglimit

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

const (
	// Each cause may log linesBurst lines at once, then one per linesEvery.
	linesBurst = 50
	linesEvery = 500 * time.Millisecond
	// maxCauses is the maximum number of causes that are limited separately. Further ones share a limit.
	maxCauses = 1000

	// In each streamWindow, the first streamLines lines of a cause about a stream are exempt from the
	// limit of the cause.
	streamLines  = 3
	streamWindow = 10 * time.Second
	// maxStreams is the maximum number of pairs of a cause and a stream with exempt lines within
	// streamWindow. For further ones only the limit of the cause applies. At most half of the pairs are for
	// refusals, because clients choose the stream names in these.
	maxStreams = 200

	// flushAfter is how long after the last suppressed line of a cause the number of its suppressed lines
	// is logged.
	flushAfter = 10 * time.Second
)

// limiter limits the number of log lines per cause. A cause is a message of a component, together with the
// values of the attributes outcome and cause. The first lines about each stream are exempt, so that a flood
// of lines about one stream does not suppress those about another. The number of suppressed lines is logged
// as an attribute of the cause's next line, or in a line of its own.
type limiter struct {
	report func(c cause, suppressed int) // logs the number; called without l.mu

	mu       sync.Mutex // guards the fields below
	causes   map[cause]*causeBucket
	streams  map[streamCause]*streamBucket
	refusals int         // number of entries in streams that are about refusals
	timer    *time.Timer // calls flush; nil if no line is suppressed
}

type cause struct {
	level                            slog.Level
	component, message, outcome, why string
}

// refusal reports whether the line is about a request that was refused.
func (c *cause) refusal() bool { return strings.HasPrefix(c.outcome, "refused") }

type causeBucket struct {
	used       time.Duration // fill level, at most linesBurst times linesEvery
	at         time.Time
	suppressed int
}

type streamCause struct {
	cause
	stream string
}

type streamBucket struct {
	since time.Time
	lines int
}

// unreported is a cause with the number of its suppressed lines that were not reported yet.
type unreported struct {
	cause
	suppressed int
}

// allow reports in ok whether a line may be logged. It also returns how many lines of its cause were
// suppressed before it. stream is the stream that the line is about, or empty.
func (l *limiter) allow(now time.Time, c cause, stream string) (suppressed int, ok bool) {
	suppressed, ok, evicted := l.count(now, c, stream)
	for _, u := range evicted {
		l.report(u.cause, u.suppressed)
	}
	return suppressed, ok
}

func (l *limiter) count(now time.Time, c cause, stream string) (suppressed int, ok bool, evicted []unreported) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if stream != "" && l.allowOfStream(now, streamCause{c, stream}) {
		if b := l.causes[c]; b != nil {
			suppressed, b.suppressed = b.suppressed, 0
		}
		return suppressed, true, nil
	}
	b := l.causes[c]
	if b == nil {
		if len(l.causes) >= maxCauses {
			evicted = l.forget(now)
		}
		if len(l.causes) >= maxCauses {
			c = cause{level: c.level}
			b = l.causes[c]
		}
	}
	if b == nil {
		b = &causeBucket{}
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

// allowOfStream reports whether a line is among the first lines about its stream, which are exempt from the
// limit of the cause. l.mu must be held.
func (l *limiter) allowOfStream(now time.Time, c streamCause) bool {
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

func (l *limiter) roomForStream(c streamCause) bool {
	return len(l.streams) < maxStreams && (!c.refusal() || l.refusals < maxStreams/2)
}

// forgetStreams removes the entries in l.streams whose window is over. l.mu must be held.
func (l *limiter) forgetStreams(now time.Time) {
	for c, b := range l.streams {
		if now.Sub(b.since) >= streamWindow {
			delete(l.streams, c)
			if c.refusal() {
				l.refusals--
			}
		}
	}
}

// forget removes causes that have had no line for so long that their full burst is available again. It
// returns those with suppressed lines that were not reported. l.mu must be held.
func (l *limiter) forget(now time.Time) (evicted []unreported) {
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

// flush reports the suppressed lines of causes that have had no line for flushAfter. For other causes with
// suppressed lines, it is scheduled again.
func (l *limiter) flush() {
	for _, u := range l.due(time.Now()) {
		l.report(u.cause, u.suppressed)
	}
}

func (l *limiter) due(now time.Time) (due []unreported) {
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

// handler is a slog.Handler that passes on the lines that a limiter allows.
type handler struct {
	next      slog.Handler
	limit     *limiter
	component string
	stream    string
}

// New returns a logger that passes on the lines of each cause to log, up to a limit. Lines below level Info
// are not limited.
func New(log *slog.Logger) *slog.Logger {
	limit := &limiter{
		report: func(c cause, suppressed int) { reportSuppressed(log, c, suppressed) },
		causes: map[cause]*causeBucket{}, streams: map[streamCause]*streamBucket{},
	}
	return slog.New(&handler{next: log.Handler(), limit: limit})
}

// reportSuppressed logs how many lines of a cause were suppressed.
func reportSuppressed(log *slog.Logger, c cause, suppressed int) {
	var attrs []slog.Attr
	for _, a := range []slog.Attr{
		slog.String("component", c.component), slog.String("message", c.message), slog.String("outcome", c.outcome), slog.String("cause", c.why),
	} {
		if a.Value.String() != "" {
			attrs = append(attrs, a)
		}
	}
	log.LogAttrs(context.Background(), c.level, "lines suppressed", append(attrs, slog.Int("suppressed", suppressed))...)
}

// Enabled implements slog.Handler.
func (h *handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelInfo {
		return h.next.Handle(ctx, r) // debugging wants all lines
	}
	c := cause{level: r.Level, component: h.component, message: r.Message}
	stream := h.stream
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "stream":
			stream = a.Value.String()
		case "outcome", "kind":
			c.outcome = a.Value.String()
		case "cause":
			c.why = a.Value.String()
		}
		return true
	})
	suppressed, ok := h.limit.allow(r.Time, c, stream)
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
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
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
func (h *handler) WithGroup(name string) slog.Handler {
	out := *h
	out.next = h.next.WithGroup(name)
	return &out
}
