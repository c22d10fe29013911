package qos

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// maxKey is the maximum length of a route's key in bytes.
const maxKey = 512

// Histories holds the histories of a limited number of routes, keyed by "group/route". It is not safe for
// concurrent use.
type Histories struct {
	limit  int
	routes map[string]*entry
}

type entry struct {
	history *History
	used    time.Time
}

// NewHistories returns an empty collection that can hold up to limit histories.
func NewHistories(limit int) *Histories {
	return &Histories{limit: max(1, limit), routes: map[string]*entry{}}
}

// Len returns the number of histories.
func (h *Histories) Len() int { return len(h.routes) }

// Get returns the history of a route and records the time now as its last use. If the route has no
// history, Get creates one, and if the limit is reached discards the least recently used history. A caller
// that keeps using a history must call Get from time to time, so that the history is not discarded.
func (h *Histories) Get(now time.Time, key string) *History {
	e := h.routes[key]
	if e == nil {
		e = &entry{history: &History{}}
		h.put(key, e)
	}
	e.used = now
	return e.history
}

func (h *Histories) put(key string, e *entry) {
	for len(h.routes) >= h.limit {
		oldest := ""
		for k, o := range h.routes {
			if was := h.routes[oldest]; was == nil || cmp.Or(o.used.Compare(was.used), cmp.Compare(k, oldest)) < 0 {
				oldest = k
			}
		}
		delete(h.routes, oldest)
	}
	h.routes[key] = e
}

// storedHistories is the stored form of a collection.
type storedHistories struct {
	Version int                        `json:"version"`
	Routes  map[string]json.RawMessage `json:"routes"`
}

// storedRoute is decoded separately, so that one bad history does not affect the others.
type storedRoute struct {
	Used    int64           `json:"used"` // ms since 1970
	History json.RawMessage `json:"history"`
}

// Encode returns the collection as JSON, so that it can be kept across a restart.
func (h *Histories) Encode() ([]byte, error) {
	out := storedHistories{Version: version, Routes: map[string]json.RawMessage{}}
	for key, e := range h.routes {
		if len(key) > maxKey {
			continue
		}
		history, err := json.Marshal(e.history)
		if err != nil {
			return nil, fmt.Errorf("encode histories: %w", err)
		}
		if out.Routes[key], err = json.Marshal(storedRoute{Used: e.used.UnixMilli(), History: history}); err != nil {
			return nil, fmt.Errorf("encode histories: %w", err)
		}
	}
	b, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("encode histories: %w", err)
	}
	return b, nil
}

// errNoHistories is returned for JSON without a version, which Encode did not write.
var errNoHistories = errors.New("decode histories: no version")

// DecodeHistories reads the output of Encode. It drops invalid values as DecodeHistory does. Of the
// histories, it keeps the most recently used ones, up to limit.
func DecodeHistories(data []byte, now time.Time, limit int) (*Histories, error) {
	var in storedHistories
	var wrong *json.UnmarshalTypeError
	if err := json.Unmarshal(data, &in); err != nil && !errors.As(err, &wrong) {
		return nil, fmt.Errorf("decode histories: %w", err)
	}
	if in.Version < 1 {
		return nil, errNoHistories
	}
	h := NewHistories(limit)
	type keyed struct {
		key string
		storedRoute
	}
	var all []keyed
	for key, raw := range in.Routes {
		var r storedRoute
		if err := json.Unmarshal(raw, &r); err != nil || len(key) > maxKey || r.Used <= 0 || r.Used > now.UnixMilli() {
			continue
		}
		all = append(all, keyed{key, r})
	}
	slices.SortFunc(all, func(a, b keyed) int { return cmp.Or(cmp.Compare(b.Used, a.Used), cmp.Compare(a.key, b.key)) })
	for _, r := range all[:min(len(all), h.limit)] {
		if history, err := DecodeHistory(r.History, now); err == nil {
			h.routes[r.key] = &entry{history: history, used: time.UnixMilli(r.Used)}
		}
	}
	return h, nil
}
