package api

import (
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"time"
)

// The bounds of a stream's history: 15 minutes, in less than 32 KiB.
const (
	// HistoryStep is the time between two of a history's samples.
	HistoryStep  = 5 * time.Second
	historyKept  = 180 // samples of a stream
	historyKinds = 8   // protocols of viewers that are told apart
	historyLags  = 8   // groups of pushes of a stream that are
)

// sample is how a stream was at one step.
type sample struct {
	state                       string
	bitrate, fps, gap, buffered float32
	viewers                     [historyKinds]uint32 // by the protocols of the histories
	lags                        [historyLags]float32 // by the groups of the stream, of those in pushed
	pushed                      uint8                // a bit for each group that there was
}

// past is a stream's samples, and the step of the newest.
type past struct {
	samples []sample
	step    int64
	groups  [historyLags]string // of pushes
}

// Histories remember the last minutes of the streams that there are.
type Histories struct {
	protocols []string // of viewers
	mu        sync.Mutex
	streams   map[string]*past // guarded by mu
}

// NewHistories returns histories of nothing so far. Viewers are told apart by the first 8
// protocols.
func NewHistories(protocols []string) *Histories {
	return &Histories{protocols: protocols[:min(len(protocols), historyKinds)], streams: map[string]*past{}}
}

// Sample notes how all streams and their routes are now, and forgets streams that are no more.
// It is to be called every HistoryStep; steps that were left out are shown without a state.
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
	there := make(map[string]*past, len(all))
	for _, s := range all {
		p := h.streams[s.Name]
		if p == nil {
			p = &past{step: step - 1}
		}
		p.add(step, p.lagging(h.of(s), pushes[s.Name]))
		there[s.Name] = p
	}
	h.streams = there
}

func (h *Histories) of(s Stream) sample {
	out := sample{state: s.State, buffered: float32(s.Buffer.Seconds)}
	if p := s.Publisher; p != nil {
		out.bitrate, out.fps, out.gap = float32(p.Bitrate), float32(p.FrameRate), float32(p.Gap)
	}
	for i, protocol := range h.protocols {
		out.viewers[i] = uint32(s.Viewers[protocol]) //nolint:gosec // not negative
	}
	return out
}

// lagging adds to a sample how far the stream's pushes are behind. Of groups beyond those that
// are told apart nothing is kept.
func (p *past) lagging(s sample, pushes []Line) sample {
	for _, l := range pushes {
		if i := p.group(l.Group, s.pushed); i >= 0 {
			s.lags[i], s.pushed = float32(l.Lag), s.pushed|1<<i
		}
	}
	return s
}

// group is the place of a group of pushes; -1: there is none left. A name gives up its place
// when no sample has it any more, nor the one that is made, which has those in used.
func (p *past) group(name string, used uint8) int {
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

// add puts a sample at its step, of which the newest of several stays.
func (p *past) add(step int64, s sample) {
	if step <= p.step && len(p.samples) > 0 {
		p.samples[len(p.samples)-1] = s
		return
	}
	for missing := min(step-p.step-1, historyKept); missing > 0; missing-- {
		p.push(sample{})
	}
	p.push(s)
	p.step = step
}

// push appends a sample and drops the oldest where there would be too many.
func (p *past) push(s sample) {
	if len(p.samples) == historyKept {
		copy(p.samples, p.samples[1:])
		p.samples[historyKept-1] = s
		return
	}
	p.samples = append(p.samples, s)
}

// Span is how long a stream was in a state.
type Span struct {
	State string     `json:"state"`
	Since time.Time  `json:"since"`
	Until *time.Time `json:"until,omitempty"` // left out: it still is
	Cause string     `json:"cause,omitempty"`
}

// History is the last minutes of a stream, as the API shows it. Its arrays are as long as each
// other: one value a step, the oldest first.
type History struct {
	Stream   string                `json:"stream"`
	Start    time.Time             `json:"start"` // of the first step
	Step     float64               `json:"step_seconds"`
	State    []string              `json:"state"` // empty: nothing was measured
	Bitrate  []float32             `json:"bitrate"`
	FPS      []float32             `json:"fps"`
	Gap      []float32             `json:"gap_seconds"`
	Buffered []float32             `json:"buffer_seconds"`
	Viewers  map[string][]uint32   `json:"viewers"`     // by protocol
	Lag      map[string][]*float32 `json:"lag_seconds"` // of pushes, by group; null: there was none
	Spans    []Span                `json:"spans"`       // of states, the oldest first
}

// read shows a stream's history; of one that is too new it is empty.
func (h *Histories) read(name string) History {
	out := History{
		Stream: name, Step: HistoryStep.Seconds(), State: []string{}, Bitrate: []float32{}, FPS: []float32{}, Gap: []float32{},
		Buffered: []float32{}, Viewers: map[string][]uint32{}, Lag: map[string][]*float32{}, Spans: []Span{},
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.streams[name]
	if p == nil {
		p = &past{}
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

// readLags puts the lags of each group of pushes into out.
func (p *past) readLags(out map[string][]*float32) {
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

// spans are a stream's states of the last minutes, from its story. A stream whose story has none
// of that time has been as it is since it became so.
func spans(s Stream, events []json.RawMessage, from time.Time) []Span {
	out := []Span{}
	for _, line := range events {
		var t Told
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

// history shows the last minutes of a stream that there is.
func history(relay Relay, all *Histories, stories *shelf) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("app") + "/" + r.PathValue("name")
		s, ok := relay.Stream(name)
		if !ok {
			Problem(w, http.StatusNotFound, "there is no stream "+name, "GET /api/v1/streams lists them")
			return
		}
		from := time.Now().Add(-historyKept * HistoryStep)
		out := all.read(name)
		told, _ := stories.read(name, query{since: from, limit: storyEvents})
		out.Spans = spans(s, told.Events, from)
		reply(w, http.StatusOK, out)
	}
}
