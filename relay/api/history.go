package api

import (
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Limits of a stream's history: 15 minutes in less than 32 KiB.
const (
	// HistoryStep is the interval between two samples.
	HistoryStep  = 5 * time.Second
	maxSamples   = 180 // samples per stream
	maxProtocols = 8   // viewer protocols that are counted separately
	maxGroups    = 8   // groups of pushes that are recorded separately, per stream
)

// sample is the state of a stream at one step.
type sample struct {
	state                       string
	bitrate, fps, gap, buffered float32
	viewers                     [maxProtocols]uint32 // by index in Histories.protocols
	lags                        [maxGroups]float32   // by index in groups; valid if its bit in pushed is set
	pushed                      uint8                // a bit for each group that existed
}

// streamHistory holds the samples of a stream, and the number of the newest sample's step.
type streamHistory struct {
	samples []sample
	step    int64
	groups  [maxGroups]string // names of groups of pushes
}

// Histories holds the recent history of all existing streams.
type Histories struct {
	protocols []string // of viewers
	mu        sync.Mutex
	streams   map[string]*streamHistory // guarded by mu
}

// NewHistories returns empty histories. Viewers are counted separately for the first 8
// protocols.
func NewHistories(protocols []string) *Histories {
	return &Histories{protocols: protocols[:min(len(protocols), maxProtocols)], streams: map[string]*streamHistory{}}
}

// Sample records the state of all streams and their routes, and drops streams that no longer exist.
// It must be called every HistoryStep; steps without a call are recorded without a state.
func (h *Histories) Sample(now time.Time, all []Stream, lines []Line) {
	pushes := map[string][]Line{}
	for _, l := range lines {
		if l.Push {
			pushes[l.Stream] = append(pushes[l.Stream], l)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	step := now.UnixNano() / int64(HistoryStep)
	there := make(map[string]*streamHistory, len(all))
	for _, s := range all {
		p := h.streams[s.Name]
		if p == nil {
			p = &streamHistory{step: step - 1}
		}
		p.add(step, p.withLags(h.sampleOf(s), pushes[s.Name]))
		there[s.Name] = p
	}
	h.streams = there
}

func (h *Histories) sampleOf(s Stream) sample {
	out := sample{state: s.State, buffered: float32(s.Buffer.Seconds)}
	if p := s.Publisher; p != nil {
		out.bitrate, out.fps, out.gap = float32(p.Bitrate), float32(p.FrameRate), float32(p.Gap)
	}
	for i, protocol := range h.protocols {
		out.viewers[i] = uint32(s.Viewers[protocol]) //nolint:gosec // not negative
	}
	return out
}

// withLags adds the lags of the stream's pushes to a sample. Groups beyond the limit are
// omitted.
func (p *streamHistory) withLags(s sample, pushes []Line) sample {
	for _, l := range pushes {
		if i := p.group(l.Group, s.pushed); i >= 0 {
			s.lags[i], s.pushed = float32(l.Lag), s.pushed|1<<i
		}
	}
	return s
}

// group returns the index of a group of pushes, or -1 if all indexes are in use. An index is free if
// neither a sample in the history nor the current sample uses it; used has a bit for each index that
// the current sample uses.
func (p *streamHistory) group(name string, used uint8) int {
	if i := slices.Index(p.groups[:], name); i >= 0 {
		return i
	}
	for _, s := range p.samples {
		used |= s.pushed
	}
	for i := range p.groups {
		if p.groups[i] == "" || used&(1<<i) == 0 {
			p.groups[i] = name
			return i
		}
	}
	return -1
}

// add adds a sample at its step. It replaces an earlier sample of the same step.
func (p *streamHistory) add(step int64, s sample) {
	if step <= p.step && len(p.samples) > 0 {
		p.samples[len(p.samples)-1] = s
		return
	}
	for missing := min(step-p.step-1, maxSamples); missing > 0; missing-- {
		p.push(sample{})
	}
	p.push(s)
	p.step = step
}

// push appends a sample and removes the oldest if there are too many.
func (p *streamHistory) push(s sample) {
	if len(p.samples) == maxSamples {
		copy(p.samples, p.samples[1:])
		p.samples[maxSamples-1] = s
		return
	}
	p.samples = append(p.samples, s)
}

// Span is a period in which a stream was in one state.
type Span struct {
	State string     `json:"state"`
	Since time.Time  `json:"since"`
	Until *time.Time `json:"until,omitempty"` // omitted for the current state
	Cause string     `json:"cause,omitempty"`
}

// History is the recent history of a stream in the API. All arrays have the same length, with one
// value per step, oldest first.
type History struct {
	Stream   string                `json:"stream"`
	Start    time.Time             `json:"start"` // of the first step
	Step     float64               `json:"step_seconds"`
	State    []string              `json:"state"` // empty if nothing was measured
	Bitrate  []float32             `json:"bitrate"`
	FPS      []float32             `json:"fps"`
	Gap      []float32             `json:"gap_seconds"`
	Buffered []float32             `json:"buffer_seconds"`
	Viewers  map[string][]uint32   `json:"viewers"`     // by protocol
	Lag      map[string][]*float32 `json:"lag_seconds"` // of pushes, by group; null if there was none
	Spans    []Span                `json:"spans"`       // states, oldest first
}

// read returns a stream's history, which is empty for a new stream.
func (h *Histories) read(name string) History {
	out := History{
		Stream: name, Step: HistoryStep.Seconds(), State: []string{}, Bitrate: []float32{}, FPS: []float32{}, Gap: []float32{},
		Buffered: []float32{}, Viewers: map[string][]uint32{}, Lag: map[string][]*float32{}, Spans: []Span{},
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.streams[name]
	if p == nil {
		p = &streamHistory{}
	}
	out.Start = time.Unix(0, (p.step-int64(len(p.samples))+1)*int64(HistoryStep)).UTC()
	for i, protocol := range h.protocols {
		out.Viewers[protocol] = make([]uint32, len(p.samples))
		for k, s := range p.samples {
			out.Viewers[protocol][k] = s.viewers[i]
		}
	}
	p.readLags(out.Lag)
	for _, s := range p.samples {
		out.State, out.Bitrate, out.FPS = append(out.State, s.state), append(out.Bitrate, s.bitrate), append(out.FPS, s.fps)
		out.Gap, out.Buffered = append(out.Gap, s.gap), append(out.Buffered, s.buffered)
	}
	return out
}

// readLags adds the lags of each group of pushes to out.
func (p *streamHistory) readLags(out map[string][]*float32) {
	for i, group := range p.groups {
		lags, any := make([]*float32, len(p.samples)), false
		for k, s := range p.samples {
			if s.pushed&(1<<i) != 0 {
				lags[k], any = &s.lags[i], true
			}
		}
		if any {
			out[group] = lags
		}
	}
}

// spans returns the states of a stream since time from, according to its event log. If the log
// contains no change since then, the stream has been in its current state all the time.
func spans(s Stream, events []json.RawMessage, from time.Time) []Span {
	out := []Span{}
	for _, line := range events {
		var t LogEntry
		if err := json.Unmarshal(line, &t); err != nil || t.Kind != "state" {
			continue
		}
		was, _ := t.Fields["from"].(string)
		is, _ := t.Fields["to"].(string)
		if n := len(out); n > 0 {
			out[n-1].Until = &t.Time
		} else if t.Time.After(from) && was != "" && was != "idle" {
			out = append(out, Span{State: was, Since: from, Until: &t.Time})
		}
		out = append(out, Span{State: is, Since: t.Time, Cause: t.Cause})
	}
	if len(out) == 0 {
		out = append(out, Span{State: s.State, Since: s.Since, Cause: s.Cause})
	}
	return out
}

// history serves the recent history of an existing stream.
func history(relay Relay, all *Histories, stories *eventLog) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("app") + "/" + r.PathValue("name")
		s, ok := relay.Stream(name)
		if !ok {
			Problem(w, http.StatusNotFound, "there is no stream "+name, "GET /api/v1/streams lists them")
			return
		}
		from := time.Now().Add(-maxSamples * HistoryStep)
		out := all.read(name)
		told, _ := stories.read(name, logQuery{since: from, limit: maxLogEntries})
		out.Spans = spans(s, told.Events, from)
		reply(w, http.StatusOK, out)
	}
}
