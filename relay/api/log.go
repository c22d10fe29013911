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

// Limits of the event logs.
const (
	maxLogEntries  = 500            // events per stream
	maxLogRefusals = 50             // rejected publishers among them, so that repeated attempts do not fill the log
	maxLogBytes    = 64 << 10       // per stream, as JSON
	logTTL         = 24 * time.Hour // after the last event of a stream
	maxLogs        = 512            // streams; the log with the oldest newest event is dropped first
)

// noteInterval is the minimum interval between events that Note adds to one stream's log, so that
// clients without access cannot displace other events.
const noteInterval = 10 * time.Second

// LogEntry is one entry of a stream's event log.
type LogEntry struct {
	ID      uint64         `json:"id,omitempty"` // in the event API; 0 if it was not published there
	Time    time.Time      `json:"time"`
	Kind    string         `json:"kind"`
	Session string         `json:"session,omitempty"`
	Cause   string         `json:"cause,omitempty"`
	Detail  string         `json:"detail,omitempty"`
	Fields  map[string]any `json:"fields,omitempty"` // further fields of the kind
}

// entryOf converts an event to a log entry.
func entryOf(e Event) LogEntry {
	t := LogEntry{ID: e.ID, Time: e.Time, Kind: e.Type, Session: e.Session}
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

// eventLog holds the event logs of streams, including ended streams.
type eventLog struct {
	mu     sync.Mutex // guards the fields below
	byName map[string]*list.Element
	recent list.List // of *streamLog, the one with the newest event first
}

// streamLog is the event log of one stream.
type streamLog struct {
	name      string
	lines     []logLine
	bytes     int
	refusals  int       // number of rejections in lines
	forgotten int       // number of dropped lines
	noted     time.Time // when Note last added one
}

type logLine struct {
	at      time.Time
	json    []byte
	refusal bool
}

// refused is the kind of event that reports a rejected publisher.
const refused = "refused"

// add adds an entry to a stream's log. It creates the log only if begin is true.
func (s *eventLog) add(stream string, t LogEntry, begin bool) {
	data, err := json.Marshal(t)
	if err != nil || stream == "" || len(data) > maxLogBytes {
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
		at = s.recent.PushFront(&streamLog{name: stream})
		s.byName[stream] = at
	}
	s.recent.MoveToFront(at)
	st := at.Value.(*streamLog) //nolint:forcetypeassert // the list has no other type
	if !begin {
		if t.Time.Sub(st.noted) < noteInterval {
			return
		}
		st.noted = t.Time
	}
	st.add(logLine{t.Time, data, t.Kind == refused})
	s.expire(t.Time)
}

// expire drops logs that are too old, and the oldest if there are too many. s.mu is held.
func (s *eventLog) expire(now time.Time) {
	for at := s.recent.Back(); at != nil; at = s.recent.Back() {
		oldest := at.Value.(*streamLog) //nolint:forcetypeassert // the list has no other type
		newest := oldest.lines[len(oldest.lines)-1].at
		if s.recent.Len() <= maxLogs && now.Sub(newest) < logTTL {
			return
		}
		s.recent.Remove(at)
		delete(s.byName, oldest.name)
	}
}

func (s *streamLog) add(l logLine) {
	s.lines = append(s.lines, l)
	s.bytes += len(l.json)
	if l.refusal {
		s.refusals++
	}
	if s.refusals > maxLogRefusals {
		s.drop(slices.IndexFunc(s.lines, func(l logLine) bool { return l.refusal }))
	}
	for len(s.lines) > maxLogEntries || s.bytes > maxLogBytes {
		s.drop(0)
	}
}

// drop removes the line at i.
func (s *streamLog) drop(i int) {
	s.bytes -= len(s.lines[i].json)
	if s.lines[i].refusal {
		s.refusals--
	}
	if i == 0 {
		s.lines[0] = logLine{}
		s.lines = s.lines[1:]
	} else {
		s.lines = slices.Delete(s.lines, i, i+1)
	}
	s.forgotten++
}

// logReply is an event log in the API.
type logReply struct {
	Stream    string            `json:"stream"`
	Events    []json.RawMessage `json:"events"` // oldest first
	Forgotten int               `json:"forgotten"`
}

// read returns the newest entries of a stream that match q. ok is false if the stream has no log.
func (s *eventLog) read(stream string, q logQuery) (out logReply, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.byName[stream]
	if at == nil {
		return logReply{}, false
	}
	st := at.Value.(*streamLog) //nolint:forcetypeassert // the list has no other type
	out = logReply{Stream: stream, Events: []json.RawMessage{}, Forgotten: st.forgotten}
	for _, l := range st.lines {
		if !l.at.Before(q.since) && (q.until.IsZero() || !l.at.After(q.until)) {
			out.Events = append(out.Events, l.json)
		}
	}
	out.Events = out.Events[max(0, len(out.Events)-q.limit):]
	return out, true
}

// logQuery selects a part of a log.
type logQuery struct {
	since, until time.Time // zero means unbounded
	limit        int
}

// parseLogQuery parses a query. If the query is invalid, it returns the name of the invalid
// parameter.
func parseLogQuery(v url.Values, now time.Time) (q logQuery, wrong string) {
	q.limit = maxLogEntries
	for name, into := range map[string]*time.Time{"since": &q.since, "until": &q.until} {
		if text := v.Get(name); text != "" {
			var ok bool
			if *into, ok = parseTime(text, now); !ok {
				return q, name
			}
		}
	}
	if text := v.Get("limit"); text != "" {
		var err error
		if q.limit, err = strconv.Atoi(text); err != nil || q.limit < 1 || q.limit > maxLogEntries {
			return q, "limit"
		}
	}
	return q, ""
}

// parseTime parses a time (RFC 3339), or a duration, which is subtracted from now.
func parseTime(text string, now time.Time) (time.Time, bool) {
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, true
	}
	ago, err := time.ParseDuration(text)
	return now.Add(-ago), err == nil && ago >= 0
}

// serveLog serves the event log of a stream.
func (s *eventLog) serveLog(w http.ResponseWriter, r *http.Request) {
	q, wrong := parseLogQuery(r.URL.Query(), time.Now())
	if wrong != "" {
		Problem(w, http.StatusBadRequest, "invalid "+wrong,
			"write since and until like 2026-01-31T20:14:00Z or, for how long ago, 15m; limit from 1 to "+strconv.Itoa(maxLogEntries))
		return
	}
	name := r.PathValue("app") + "/" + r.PathValue("name")
	told, ok := s.read(name, q)
	if !ok {
		Problem(w, http.StatusNotFound, "there is no log of a stream "+name, "GET /api/v1/streams lists the streams")
		return
	}
	reply(w, http.StatusOK, told)
}

// Note adds an event to its stream's log, if the stream has a log and no event was noted within
// noteInterval before. It does not publish the event, because clients without access could cause
// many of them.
func (b *Events) Note(e Event) { b.log.add(e.Stream, entryOf(e), false) }
