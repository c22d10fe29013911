package qos

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// version is the version of the format of stored histories. Of a newer format, the fields known to this
// version are read.
const version = 1

// MarshalJSON returns the history in the format that DecodeHistory reads.
func (h *History) MarshalJSON() ([]byte, error) {
	r := h.record
	r.Version = version
	b, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode history: %w", err)
	}
	return b, nil
}

// DecodeHistory reads a history that MarshalJSON wrote. Values that are missing, of the wrong type, later
// than now or impossible to measure count as unknown. It returns an error only if data is not JSON.
func DecodeHistory(data []byte, now time.Time) (*History, error) {
	h := &History{}
	var wrong *json.UnmarshalTypeError // the rest is decoded all the same
	if err := json.Unmarshal(data, &h.record); err != nil && !errors.As(err, &wrong) {
		return nil, fmt.Errorf("decode history: %w", err)
	}
	h.record.dropInvalid(now)
	return h, nil
}

func (r *record) dropInvalid(now time.Time) {
	ms := now.UnixMilli()
	past := func(at int64) bool { return at > 0 && at <= ms }
	r.Version = version
	r.Attempts = tail(slices.DeleteFunc(r.Attempts, func(a attempt) bool {
		return !past(a.At) || !slices.Contains(Outcomes(), a.Outcome) || a.Phase != "" && !slices.Contains(Phases(), a.Phase)
	}), maxAttempts)
	for i := range r.Attempts {
		r.Attempts[i].Detail = truncate(r.Attempts[i].Detail, maxDetail)
	}
	r.Breaks = tail(slices.DeleteFunc(r.Breaks, func(b breakEvent) bool { return !past(b.At) || b.LastedMS < 0 || b.LastedMS > ms }), maxBreaks)
	for i := range r.Breaks {
		r.Breaks[i].Cause = truncate(r.Breaks[i].Cause, maxCause)
	}
	r.Minutes.dropInvalid(now)
	for _, m := range []*mean{
		&r.Success, &r.Dial, &r.RTT, &r.Jitter, &r.Segments, &r.Rate, &r.Stalls, &r.Lag, &r.Trouble, &r.Capacity, &r.BreakCount,
	} {
		m.clearInvalid(now)
	}
	for _, m := range []*mean{&r.Success, &r.Segments, &r.Stalls, &r.Trouble} { // shares
		m.Sum = min(m.Sum, m.Weight)
	}
	for p, m := range r.Phases {
		m.clearInvalid(now)
		if r.Phases[p] = m; m == (mean{}) || !slices.Contains(Phases(), p) {
			delete(r.Phases, p)
		}
	}
	r.Streak = max(-1000, min(r.Streak, 1000))
	if !past(r.LastSuccess) {
		r.LastSuccess = 0
	}
	if !past(r.LimitedAt) {
		r.LimitedAt, r.Capacity = 0, mean{}
	}
}

// tail returns a copy of a slice, shortened to its last elements if it has more than limit.
func tail[T any](all []T, limit int) []T {
	return slices.Clone(all[max(0, len(all)-limit):])
}
