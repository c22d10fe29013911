// Package redact removes secrets from the relay's log and API.
package redact

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"

	"github.com/holdfast-live/holdfast/ingest"
)

const (
	// shortestName is the minimum length in bytes of a secret that is recognized as an element of a stream
	// name. Shorter ones may be ordinary words.
	shortestName = 6
	// shortestText is the minimum length in bytes of a secret that is removed anywhere in a text.
	shortestText = 8
)

// Secrets holds the configured secrets. It is safe for concurrent use. A nil *Secrets holds none.
type Secrets struct{ now atomic.Pointer[[]string] }

// Set replaces the secrets. It ignores secrets shorter than 6 bytes.
func (s *Secrets) Set(all ...string) {
	var out []string
	known := map[string]bool{}
	for _, one := range all {
		if len(one) >= shortestName && !known[one] {
			known[one] = true
			out = append(out, one)
		}
	}
	s.now.Store(&out)
}

// Logger returns a logger that removes secrets from messages and from attributes that are strings or
// errors, and passes the lines on to log.
func (s *Secrets) Logger(log *slog.Logger) *slog.Logger {
	return slog.New(handler{log.Handler(), s})
}

// Is reports whether an element of a stream's name, {app} or {name}, is a secret. For an element with a
// rendition, {name}~{rendition}, it also checks both parts.
func (s *Secrets) Is(part string) bool {
	parent, rendition, _ := strings.Cut(part, "~")
	for _, one := range s.list() {
		if part == one || parent == one || rendition == one {
			return true
		}
	}
	return false
}

// list returns the configured secrets.
func (s *Secrets) list() []string {
	if s == nil {
		return nil
	}
	if now := s.now.Load(); now != nil {
		return *now
	}
	return nil
}

// Text returns a text in which the configured secrets, and parts that look like secrets, are replaced.
func (s *Secrets) Text(text string) string {
	if text == "" {
		return text
	}
	text = ingest.HideSecrets(text)
	for _, one := range s.list() {
		if len(one) >= shortestText {
			text = strings.ReplaceAll(text, one, ingest.Hidden)
		}
	}
	if app, name, ok := strings.Cut(text, "/"); ok && (s.Is(app) || s.Is(name)) {
		if s.Is(app) {
			app = ingest.Hidden
		}
		if s.Is(name) {
			name = ingest.Hidden
		}
		return app + "/" + name
	}
	return text
}

// handler is a slog.Handler that removes secrets and passes the records on.
type handler struct {
	slog.Handler
	secrets *Secrets
}

// Handle implements slog.Handler.
func (h handler) Handle(ctx context.Context, r slog.Record) error {
	out := slog.NewRecord(r.Time, r.Level, h.secrets.Text(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		out.AddAttrs(h.attr(a))
		return true
	})
	return h.Handler.Handle(ctx, out)
}

// WithAttrs implements slog.Handler.
func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	hidden := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		hidden[i] = h.attr(a)
	}
	return handler{h.Handler.WithAttrs(hidden), h.secrets}
}

// WithGroup implements slog.Handler.
func (h handler) WithGroup(name string) slog.Handler {
	return handler{h.Handler.WithGroup(name), h.secrets}
}

// attr returns an attribute in which secrets are replaced. It looks for them in strings, errors and values
// with a String method.
func (h handler) attr(a slog.Attr) slog.Attr {
	v := a.Value.Resolve()
	var text string
	switch v.Kind() { //nolint:exhaustive // the others contain no text
	case slog.KindString:
		text = v.String()
	case slog.KindGroup:
		var in []slog.Attr
		for _, one := range v.Group() {
			in = append(in, h.attr(one))
		}
		return slog.Attr{Key: a.Key, Value: slog.GroupValue(in...)}
	case slog.KindAny:
		switch x := v.Any().(type) {
		case error:
			text = x.Error()
		case fmt.Stringer:
			text = x.String()
		default:
			return slog.Attr{Key: a.Key, Value: v}
		}
	default:
		return slog.Attr{Key: a.Key, Value: v}
	}
	if hidden := h.secrets.Text(text); hidden != text {
		return slog.String(a.Key, hidden)
	}
	return slog.Attr{Key: a.Key, Value: v}
}
