package egress

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
)

// Left logs that a viewer has left, and at a level that operators see where it was dropped because it
// took nothing for its whole write timeout. ctx is that of all viewers: when it is done they are all
// sent away.
func Left(ctx context.Context, log *slog.Logger, err error) {
	var failed net.Error
	late := errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &failed) && failed.Timeout()
	if late && ctx.Err() == nil && !errors.Is(err, context.DeadlineExceeded) {
		log.Info("viewer dropped", "cause", "write_timeout", "reason", err)
		return
	}
	log.Debug("viewer left", "reason", err)
}
