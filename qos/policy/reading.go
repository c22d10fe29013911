package policy

import (
	"time"

	"github.com/holdfast-live/holdfast/qos"
)

// Reading is what a check of a running connection shows. It is taken a few times a second.
type Reading struct {
	Line     Line
	RTT      time.Duration
	Advanced bool        // media has arrived at its receiver since the last reading
	Blind    bool        // what has arrived is not known yet: Line shows nothing
	Sample   *qos.Sample // for the history, once a second; else nil
	Failure  string      // why the connection is no longer usable; empty: it is
}
