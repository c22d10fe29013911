package rtcsock

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/pion/logging"
)

// loggers makes pion log to the relay's log at level debug, including its warnings: they are about
// the behaviour of peers, and the relay itself logs what matters.
type loggers struct{ log *slog.Logger }

// NewLogger implements logging.LoggerFactory.
func (l loggers) NewLogger(scope string) logging.LeveledLogger {
	return logger{l.log.With("scope", scope)}
}

type logger struct{ log *slog.Logger }

func (l logger) debug(text string) { l.log.Debug(text) }

func (l logger) debugf(format string, args []any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug(fmt.Sprintf(format, args...))
	}
}

func (l logger) Trace(string)                      {}
func (l logger) Tracef(string, ...any)             {}
func (l logger) Debug(string)                      {}
func (l logger) Debugf(string, ...any)             {}
func (l logger) Info(msg string)                   { l.debug(msg) }
func (l logger) Infof(format string, args ...any)  { l.debugf(format, args) }
func (l logger) Warn(msg string)                   { l.debug(msg) }
func (l logger) Warnf(format string, args ...any)  { l.debugf(format, args) }
func (l logger) Error(msg string)                  { l.debug(msg) }
func (l logger) Errorf(format string, args ...any) { l.debugf(format, args) }
