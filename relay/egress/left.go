package egress

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
)

// Left logs that a viewer has left because of err. If the viewer was dropped because it accepted no
// bytes for its whole write timeout, it logs at level Info. ctx is the context of all viewers of
// the protocol. When it is done, all viewers are disconnected, and none counts as dropped.
func Left(ctx context.Context, log *slog.Logger, err error) {
	var failed net.Error
	timedOut := errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &failed) && failed.Timeout()
	if timedOut && ctx.Err() == nil && !errors.Is(err, context.DeadlineExceeded) {
		log.Info("viewer dropped", "cause", "write_timeout", "reason", err)
		return
	}
	log.Debug("viewer left", "reason", err)
}
