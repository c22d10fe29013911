package signal

import (
	"time"

	"github.com/holdfast-live/holdfast/ingest"
)

// Refusal is why an offer is not taken: the relay's own, under a name that who serves viewers
// may know.
type Refusal = ingest.Refusal

// Unsupported refuses an offer for its codecs.
func Unsupported(reason, hint string) *Refusal {
	return &Refusal{Outcome: ingest.RefusedCodec, Reason: reason, Hint: hint}
}

// Closing refuses an offer because the relay ends.
func Closing() *Refusal {
	return &Refusal{Outcome: ingest.RefusedLimit, Reason: "the relay is shutting down", Hint: "try again in a moment", RetryAfter: time.Second}
}
