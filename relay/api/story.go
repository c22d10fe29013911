package api

import (
	"container/list"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"
)

// The bounds of what is remembered.
const (
	storyEvents   = 500            // of a stream
	storyRefusals = 50             // of those, pushes that were refused: who tries again and again is not to fill it
	storyBytes    = 64 << 10       // of a stream, as JSON
	storyKept     = 24 * time.Hour // after a stream's last event
	stories       = 512            // streams; of more the one without events for the longest is forgotten
)

// noteEvery bounds how often a stream's story tells of strangers, so that they cannot have it
// forget the rest.
const noteEvery = 10 * time.Second

// Told is one line of a stream's story.
type Told struct {
	ID      uint64         `json:"id,omitempty"` // of the event API; 0: it was not told there
	Time    time.Time      `json:"time"`
	Kind    string         `json:"kind"`
	Session string         `json:"session,omitempty"`
	Cause   string         `json:"cause,omitempty"`
	Detail  string         `json:"detail,omitempty"`
	Fields  map[string]any `json:"fields,omitempty"` // what else belongs to the kind
}

// told makes an event a line.
func told(e Event) Told {
	t := Told{ID: e.ID, Time: e.Time, Kind: e.Type, Session: e.Session}
	for name, v := range e.Fields {
		text, isText := v.(string)
		switch {
		case name == "cause" && isText:
			t.Cause = text
		case name == "detail" && isText:
			t.Detail = text
		default:
			if t.Fields == nil {
				t.Fields = map[string]any{}
			}
			t.Fields[name] = v
		}
	}
	return t
}

// shelf remembers what happened to streams, those that have ended included.
type shelf struct {
	mu     sync.Mutex // guards all below
	byName map[string]*list.Element
	recent list.List // of *story, that of the newest event first
}

// story is what is remembered of one stream.
type story struct {
	name      string
	lines     []line
	bytes     int
	refusals  int       // among the lines
	forgotten int       // lines, for newer ones
	noted     time.Time // when Note added one
}

type line struct {
	at      time.Time
	json    []byte
	refusal bool
}

// refused is the kind of a push that was not let in.
const refused = "refused"

// add remembers a line; one of a stream that there is nothing of yet only with begin.
func (s *shelf) add(stream string, t Told, begin bool) {
	data, err := json.Marshal(t)
	if err != nil || stream == "" || len(data) > storyBytes {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.byName[stream]
	if at == nil {
		if !begin {
			return
		}
		if s.byName == nil {
			s.byName = map[string]*list.Element{}
		}
		at = s.recent.PushFront(&story{name: stream})
		s.byName[stream] = at
	}
	s.recent.MoveToFront(at)
	st := at.Value.(*story) //nolint:forcetypeassert // nothing else is in the list
	if !begin {
		if t.Time.Sub(st.noted) < noteEvery {
			return
		}
		st.noted = t.Time
	}
	st.add(line{t.Time, data, t.Kind == refused})
	s.forget(t.Time)
}

// forget drops the stories that are too many or too old. s.mu is held.
func (s *shelf) forget(now time.Time) {
	for at := s.recent.Back(); at != nil; at = s.recent.Back() {
		oldest := at.Value.(*story) //nolint:forcetypeassert // nothing else is in the list
		newest := oldest.lines[len(oldest.lines)-1].at
		if s.recent.Len() <= stories && now.Sub(newest) < storyKept {
			return
		}
		s.recent.Remove(at)
		delete(s.byName, oldest.name)
	}
}

func (s *story) add(l line) {
	s.lines = append(s.lines, l)
	s.bytes += len(l.json)
	if l.refusal {
		s.refusals++
	}
	if s.refusals > storyRefusals {
		s.drop(slices.IndexFunc(s.lines, func(l line) bool { return l.refusal }))
	}
	for len(s.lines) > storyEvents || s.bytes > storyBytes {
		s.drop(0)
	}
}

// drop forgets the line at i.
func (s *story) drop(i int) {
	s.bytes -= len(s.lines[i].json)
	if s.lines[i].refusal {
		s.refusals--
	}
	if i == 0 {
		s.lines[0] = line{}
		s.lines = s.lines[1:]
	} else {
		s.lines = slices.Delete(s.lines, i, i+1)
	}
	s.forgotten++
}

// answered is a story as the API shows it.
type answered struct {
	Stream    string            `json:"stream"`
	Events    []json.RawMessage `json:"events"` // the oldest first
	Forgotten int               `json:"forgotten"`
}

// read returns the newest lines of a stream between two moments; ok is false if there is
// nothing of it.
func (s *shelf) read(stream string, q query) (out answered, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.byName[stream]
	if at == nil {
		return answered{}, false
	}
	st := at.Value.(*story) //nolint:forcetypeassert // nothing else is in the list
	out = answered{Stream: stream, Events: []json.RawMessage{}, Forgotten: st.forgotten}
	for _, l := range st.lines {
		if !l.at.Before(q.since) && (q.until.IsZero() || !l.at.After(q.until)) {
			out.Events = append(out.Events, l.json)
		}
	}
	out.Events = out.Events[max(0, len(out.Events)-q.limit):]
	return out, true
}

// query is which part of a story is asked for.
type query struct {
	since, until time.Time // zero: without end
	limit        int
}

// queryOf reads a query; what it does not know how to read it names.
func queryOf(v url.Values, now time.Time) (q query, wrong string) {
	q.limit = storyEvents
	for name, into := range map[string]*time.Time{"since": &q.since, "until": &q.until} {
		if text := v.Get(name); text != "" {
			var ok bool
			if *into, ok = moment(text, now); !ok {
				return q, name
			}
		}
	}
	if text := v.Get("limit"); text != "" {
		var err error
		if q.limit, err = strconv.Atoi(text); err != nil || q.limit < 1 || q.limit > storyEvents {
			return q, "limit"
		}
	}
	return q, ""
}

// moment reads a time (RFC 3339), or how long ago it was.
func moment(text string, now time.Time) (time.Time, bool) {
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, true
	}
	ago, err := time.ParseDuration(text)
	return now.Add(-ago), err == nil && ago >= 0
}

// log tells a stream's story.
func (s *shelf) log(w http.ResponseWriter, r *http.Request) {
	q, wrong := queryOf(r.URL.Query(), time.Now())
	if wrong != "" {
		Problem(w, http.StatusBadRequest, wrong+" cannot be read",
			"write since and until like 2026-01-31T20:14:00Z or, for how long ago, 15m; limit from 1 to "+strconv.Itoa(storyEvents))
		return
	}
	name := r.PathValue("app") + "/" + r.PathValue("name")
	told, ok := s.read(name, q)
	if !ok {
		Problem(w, http.StatusNotFound, "nothing is known of a stream "+name, "GET /api/v1/streams lists those that there are")
		return
	}
	reply(w, http.StatusOK, told)
}

// Note adds an event to its stream's story, if there is one and none was noted just before, and
// tells nobody else: of who may not publish there may be many.
func (b *Events) Note(e Event) { b.shelf.add(e.Stream, told(e), false) }
