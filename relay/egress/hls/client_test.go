package hls

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/testmedia/gen"
	"github.com/holdfast-live/holdfast/testmedia/m3u8"
)

// client is a low-latency player: it requests each part, and checks everything that it receives.
type client struct {
	b    *bench
	v    *m3u8.Validator
	base string // URL of the media playlist, with its query

	mu       sync.Mutex // guards the fields below
	faults   []string
	statuses map[int]int
	latency  []time.Duration // per part, from the time of day of its start to its arrival
	texts    []string
	files    map[string][]byte
	ends     bool
}

func (b *bench) client() *client {
	return &client{b: b, v: m3u8.NewValidator(), statuses: map[int]int{}, files: map[string][]byte{}}
}

func (c *client) fault(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.faults) < 5 {
		c.faults = append(c.faults, fmt.Sprintf(format, args...))
	}
}

// index requests the multivariant playlist until it is available.
func (c *client) index(ctx context.Context) bool {
	for ctx.Err() == nil {
		w := c.b.get("/live/cam/index.m3u8")
		c.count(w.Code)
		if w.Code == http.StatusOK {
			lines := strings.Split(strings.TrimSpace(w.Body.String()), "\n")
			c.base = "/live/cam/" + lines[len(lines)-1]
			return true
		}
		c.wait(ctx, w)
	}
	return false
}

// and returns a query that continues that of the playlist's URL.
func (c *client) and(query string) string {
	if strings.Contains(c.base, "?") {
		return "&" + query
	}
	return "?" + query
}

func (c *client) count(status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.statuses[status]++
}

// wait waits as Retry-After says.
func (c *client) wait(ctx context.Context, w *httptest.ResponseRecorder) {
	after, err := strconv.Atoi(w.Header().Get("Retry-After"))
	if err != nil || w.Header().Get("Cache-Control") != "no-store" && w.Code != http.StatusNotFound {
		c.fault("%d: Retry-After %q, Cache-Control %q: %s", w.Code, w.Header().Get("Retry-After"), w.Header().Get("Cache-Control"), w.Body.String())
		after = 1
	}
	select {
	case <-time.After(time.Duration(after) * time.Second):
	case <-ctx.Done():
	}
}

// play plays until ctx is done or the stream ends.
func (c *client) play(ctx context.Context) {
	if !c.index(ctx) {
		return
	}
	query := ""
	for ctx.Err() == nil {
		w := c.b.ask(ctx, c.base+query)
		if ctx.Err() != nil {
			return
		}
		c.count(w.Code)
		if w.Code != http.StatusOK {
			if w.Code == http.StatusBadRequest {
				c.fault("%s: %s", query, w.Body.String())
			}
			query = ""
			c.wait(ctx, w)
			continue
		}
		text := w.Body.String()
		c.mu.Lock()
		c.texts = append(c.texts, text)
		c.mu.Unlock()
		if err := c.v.Add(text); err != nil {
			c.fault("%v\n%s", err, text)
			return
		}
		p, _ := m3u8.Parse(text)
		c.fetch(p)
		if p.Ended {
			c.mu.Lock()
			c.ends = true
			c.mu.Unlock()
			return
		}
		query = c.and(fmt.Sprintf("_HLS_msn=%d&_HLS_part=%d", c.v.Last()+1, len(p.Open.Parts)))
	}
}

// fetch requests everything new in p, and compares it with what is known.
func (c *client) fetch(p m3u8.Playlist) {
	for _, s := range append(p.Segments, p.Open) {
		var joined []byte
		for _, text := range s.Parts {
			a := m3u8.Attributes(text)
			b, fresh := c.file(a["URI"])
			joined = append(joined, b...)
			if fresh && s.URI == "" && len(c.texts) > 1 {
				date, _ := time.Parse(time.RFC3339, s.Date)
				before := 0.0
				for _, other := range s.Parts {
					if other == text {
						break
					}
					before += m3u8.Seconds(m3u8.Attributes(other)["DURATION"])
				}
				c.mu.Lock()
				c.latency = append(c.latency, time.Since(date.Add(time.Duration(before*float64(time.Second)))))
				c.mu.Unlock()
			}
		}
		if s.URI == "" {
			continue
		}
		c.file(s.Init)
		whole, fresh := c.file(s.URI)
		if fresh && len(s.Parts) > 0 && !bytes.Equal(joined, whole) {
			c.fault("%s is not its parts", s.URI)
		}
	}
}

func (c *client) file(name string) (body []byte, fresh bool) {
	c.mu.Lock()
	body, had := c.files[name]
	c.mu.Unlock()
	if had {
		return body, false
	}
	w := c.b.get("/live/cam/" + name)
	if w.Code != http.StatusOK || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
		c.fault("%s: %d %s", name, w.Code, w.Body.String())
		return nil, false
	}
	body = w.Body.Bytes()
	c.mu.Lock()
	c.files[name] = body
	c.mu.Unlock()
	return body, true
}

// playing plays while the test goes on. The returned function stops it and reports faults.
func (c *client) playing() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { c.play(ctx) })
	return func() {
		c.b.t.Helper()
		cancel()
		done.Wait()
		for _, f := range c.faults {
			c.b.t.Error(f)
		}
	}
}

// tally counts the frames in the received segments.
func (c *client) tally() *gen.Tally {
	c.b.t.Helper()
	tally := gen.NewTally()
	for seq := uint64(0); seq <= c.v.Last(); seq++ {
		s, ok := c.v.Segments[seq]
		if !ok {
			seq = max(seq, c.first()-1)
			continue
		}
		var init fmp4.Init
		if err := init.Unmarshal(bytes.NewReader(c.files[s.Init])); err != nil {
			c.b.t.Fatal(err)
		}
		var parts fmp4.Parts
		if err := parts.Unmarshal(c.files[s.URI]); err != nil {
			c.b.t.Fatalf("segment %d: %v", seq, err)
		}
		for _, p := range parts {
			for _, tr := range p.Tracks {
				at := tr.BaseTime
				for _, sample := range tr.Samples {
					pkt := &packetbuf.Packet{Track: packetbuf.Track(tr.ID - 1), Kind: packetbuf.Delta, DTS: time.Duration(at), Payload: sample.Payload}
					if _, err := gen.Identify(pkt); err != nil {
						pkt.Flags = packetbuf.Filler
					}
					at += uint64(sample.Duration)
					_ = tally.Add(pkt) // a repeated keyframe is counted twice
				}
			}
		}
	}
	return tally
}

func (c *client) first() uint64 {
	first := c.v.Last()
	for seq := range c.v.Segments {
		first = min(first, seq)
	}
	return first
}
