package app

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"

	"github.com/holdfast-live/holdfast/configs"
	"github.com/holdfast-live/holdfast/ingest"
)

const (
	// shortestName is the length from which a part of a name that is a configured secret is taken for
	// that. Shorter ones are words that streams may be called by as well.
	shortestName = 6
	// shortestText is the length from which a secret is hidden wherever it stands in a text.
	shortestText = 8
)

// secrets are the configured ones. They are read from any goroutine.
type secrets struct{ now atomic.Pointer[[]string] }

// set takes the secrets of a configuration.
func (s *secrets) set(cfg *configs.Config) {
	all := []string{cfg.Admin.Token, cfg.Defaults.PlaySecret, cfg.Resume.Key}
	all = append(all, cfg.Defaults.PublishKeys...)
	for i := range cfg.Streams {
		all = append(append(all, cfg.Streams[i].PlaySecret), cfg.Streams[i].PublishKeys...)
	}
	for i := range cfg.Hooks {
		all = append(all, cfg.Hooks[i].Secret)
	}
	for _, i := range cfg.WebRTC.ICEServers {
		all = append(all, i.Secret, i.Credential)
	}
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

// newHidden returns the secrets of a configuration, and a log that does not show them.
func newHidden(cfg *configs.Config, log *slog.Logger) (*secrets, *slog.Logger) {
	s := &secrets{}
	s.set(cfg)
	return s, slog.New(hiding{log.Handler(), s})
}

// is reports whether a part of a stream's name is a secret.
func (s *secrets) is(part string) bool {
	parent, rendition, _ := strings.Cut(part, "~")
	for _, one := range s.list() {
		if part == one || parent == one || rendition == one {
			return true
		}
	}
	return false
}

// list returns the configured secrets; none where s is nil.
func (s *secrets) list() []string {
	if s == nil {
		return nil
	}
	if now := s.now.Load(); now != nil {
		return *now
	}
	return nil
}

// hide returns a text without secrets: what looks like one, and those that are configured.
func (s *secrets) hide(text string) string {
	if text == "" {
		return text
	}
	text = ingest.HideSecrets(text)
	for _, one := range s.list() {
		if len(one) >= shortestText {
			text = strings.ReplaceAll(text, one, ingest.Hidden)
		}
	}
	if app, name, ok := strings.Cut(text, "/"); ok && (s.is(app) || s.is(name)) {
		if s.is(app) {
			app = ingest.Hidden
		}
		if s.is(name) {
			name = ingest.Hidden
		}
		return app + "/" + name
	}
	return text
}

// hiding is a log that shows no secrets.
type hiding struct {
	slog.Handler
	secrets *secrets
}

// Handle implements slog.Handler.
func (h hiding) Handle(ctx context.Context, r slog.Record) error {
	out := slog.NewRecord(r.Time, r.Level, h.secrets.hide(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		out.AddAttrs(h.attr(a))
		return true
	})
	return h.Handler.Handle(ctx, out)
}

// WithAttrs implements slog.Handler.
func (h hiding) WithAttrs(attrs []slog.Attr) slog.Handler {
	hidden := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		hidden[i] = h.attr(a)
	}
	return hiding{h.Handler.WithAttrs(hidden), h.secrets}
}

// WithGroup implements slog.Handler.
func (h hiding) WithGroup(name string) slog.Handler {
	return hiding{h.Handler.WithGroup(name), h.secrets}
}

// attr hides secrets in texts and errors.
func (h hiding) attr(a slog.Attr) slog.Attr {
	v := a.Value.Resolve()
	var text string
	switch v.Kind() { //nolint:exhaustive // the others hold no text
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
	if hidden := h.secrets.hide(text); hidden != text {
		return slog.String(a.Key, hidden)
	}
	return slog.Attr{Key: a.Key, Value: v}
}
