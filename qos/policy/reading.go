package policy

import (
	"time"

	"github.com/holdfast-live/holdfast/qos"
)

// Reading is the result of a check of a running connection. Connections are checked several times a
// second.
type Reading struct {
	Line     Line
	RTT      time.Duration
	Advanced bool        // media has arrived at the receiver since the last reading
	Blind    bool        // it is not yet known what has arrived, and Line is empty
	Sample   *qos.Sample // sample for the history, once a second; otherwise nil
	Failure  string      // why the connection is no longer usable; empty if it is usable
}
