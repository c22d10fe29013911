package signal

import (
	"time"

	"github.com/holdfast-live/holdfast/ingest"
)

// Refusal is the reason why an offer is refused. It is ingest.Refusal under a name for packages that
// serve viewers.
type Refusal = ingest.Refusal

// Unsupported returns the refusal of an offer because of its codecs.
func Unsupported(reason, hint string) *Refusal {
	return &Refusal{Outcome: ingest.RefusedCodec, Reason: reason, Hint: hint}
}

// Closing returns the refusal of an offer because the relay shuts down.
func Closing() *Refusal {
	return &Refusal{Outcome: ingest.RefusedLimit, Reason: "the relay is shutting down", Hint: "try again in a moment", RetryAfter: time.Second}
}
