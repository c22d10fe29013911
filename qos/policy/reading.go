package policy

import (
	"time"

	"github.com/holdfast-live/holdfast/qos"
)

// Reading is the result of a check of a running connection, which is made several times a second.
type Reading struct {
	Line     Line
	RTT      time.Duration
	Advanced bool        // media has reached its receiver since the last reading
	Blind    bool        // it is not yet known what has arrived: Line is empty
	Sample   *qos.Sample // for the history, once a second; otherwise nil
	Failure  string      // why the connection is no longer usable; empty if it is
}
