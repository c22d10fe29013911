package hook

import (
	"errors"
	"net/http"
	"strconv"
	"time"
)

// maxRetryAfter is how long a hook may put off what it is told, at most.
const maxRetryAfter = 5 * time.Minute

// retryAfter is how long an answer asks to be left alone, by its Retry-After: whole seconds, or a
// date (RFC 9110, section 10.2.3). It is 0 where that says nothing, and afterMost at most.
func retryAfter(value string, now time.Time) time.Duration {
	seconds, err := strconv.ParseUint(value, 10, 32)
	if err == nil || errors.Is(err, strconv.ErrRange) {
		return min(time.Duration(seconds)*time.Second, maxRetryAfter) //nolint:gosec // 32 bits, also out of range
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(0, at.Sub(now)), maxRetryAfter)
}

// retryable tells whether a status says that the hook has no time, and not that it will not have what
// it was sent.
func retryable(status int) bool {
	return status == http.StatusRequestTimeout || status == http.StatusTooManyRequests || status >= http.StatusInternalServerError
}
