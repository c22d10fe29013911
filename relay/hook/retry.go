package hook

import (
	"errors"
	"net/http"
	"strconv"
	"time"
)

// maxRetryAfter is the maximum delay that a hook may request with Retry-After.
const maxRetryAfter = 5 * time.Minute

// retryAfter returns the delay that a Retry-After header requests, given as whole seconds or a date
// (RFC 9110, section 10.2.3). It is at most maxRetryAfter, and 0 if the header is invalid.
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

// retryable reports whether a status means that the hook is busy or failing, rather than that it
// rejects the event.
func retryable(status int) bool {
	return status == http.StatusRequestTimeout || status == http.StatusTooManyRequests || status >= http.StatusInternalServerError
}
