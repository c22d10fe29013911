package qos

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// maxKey bounds a route's key, in bytes.
const maxKey = 512

// Histories are the histories of many routes, by "group/route", bounded in number. They are
// not safe for concurrent use.
type Histories struct {
	limit  int
	routes map[string]*entry
}

type entry struct {
	history *History
	used    time.Time
}

// NewHistories returns an empty collection of at most limit histories.
func NewHistories(limit int) *Histories {
	return &Histories{limit: max(1, limit), routes: map[string]*entry{}}
}

// Len is how many there are.
func (h *Histories) Len() int { return len(h.routes) }

// Get is the history of a route, a new one if there was none. It counts as used at now; the
// one that was not used for longest goes if there are too many. Whoever goes on using a
// history must Get it now and then, or it is forgotten.
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

// kept is a collection in the form in which it is kept over a restart.
type kept struct {
	Version int                        `json:"version"`
	Routes  map[string]json.RawMessage `json:"routes"`
}

// keptRoute is what is decoded on its own, so that one bad history does not cost the others.
type keptRoute struct {
	Used    int64           `json:"used"` // ms since 1970
	History json.RawMessage `json:"history"`
}

// Encode is the collection as JSON, to be kept over a restart.
func (h *Histories) Encode() ([]byte, error) {
	out := kept{Version: version, Routes: map[string]json.RawMessage{}}
	for key, e := range h.routes {
		if len(key) > maxKey {
			continue
		}
		history, err := json.Marshal(e.history)
		if err != nil {
			return nil, fmt.Errorf("encode histories: %w", err)
		}
		if out.Routes[key], err = json.Marshal(keptRoute{Used: e.used.UnixMilli(), History: history}); err != nil {
			return nil, fmt.Errorf("encode histories: %w", err)
		}
	}
	b, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("encode histories: %w", err)
	}
	return b, nil
}

// errNoHistories is what data without any is answered with: it is something else's.
var errNoHistories = errors.New("decode histories: no version")

// DecodeHistories reads what Encode wrote, and forgives as DecodeHistory does. The newest limit
// are taken.
func DecodeHistories(data []byte, now time.Time, limit int) (*Histories, error) {
	var in kept
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
		keptRoute
	}
	var all []keyed
	for key, raw := range in.Routes {
		var r keptRoute
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
