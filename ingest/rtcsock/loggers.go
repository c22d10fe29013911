package rtcsock

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/pion/logging"
)

// loggers has pion log to the relay's log, all of it as debug: what it warns of is a peer's
// doing, and what matters of that is told where it is understood.
type loggers struct{ log *slog.Logger }

// NewLogger implements logging.LoggerFactory.
func (l loggers) NewLogger(scope string) logging.LeveledLogger {
	return logger{l.log.With("scope", scope)}
}

type logger struct{ log *slog.Logger }

func (l logger) say(text string) { l.log.Debug(text) }

func (l logger) sayf(format string, args []any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug(fmt.Sprintf(format, args...))
	}
}

func (l logger) Trace(string)                      {}
func (l logger) Tracef(string, ...any)             {}
func (l logger) Debug(string)                      {}
func (l logger) Debugf(string, ...any)             {}
func (l logger) Info(msg string)                   { l.say(msg) }
func (l logger) Infof(format string, args ...any)  { l.sayf(format, args) }
func (l logger) Warn(msg string)                   { l.say(msg) }
func (l logger) Warnf(format string, args ...any)  { l.sayf(format, args) }
func (l logger) Error(msg string)                  { l.say(msg) }
func (l logger) Errorf(format string, args ...any) { l.sayf(format, args) }
