package app

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/configs"
	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// flvHead is the length of a FLV header with the size that follows it.
const flvHead = 13

// play requests a stream over HTTP-FLV on a connection of its own.
func play(t *testing.T, a *App, path string) *http.Response {
	t.Helper()
	c, err := net.Dial("tcp", a.Addr("http").String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: relay\r\n\r\n", path)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body = &answered{resp.Body, c}
	return resp
}

// answered is the body of a response and its connection.
type answered struct {
	io.ReadCloser
	conn net.Conn
}

func (a *answered) Close() error { return a.conn.Close() }

// uncut is a viewer that stays connected.
type uncut struct {
	body io.ReadCloser
	done sync.WaitGroup

	mu   sync.Mutex // guards the fields below
	more *sync.Cond
	got  bytes.Buffer // tags
	last map[packetbuf.Track]uint32
	err  error
}

func stay(t *testing.T, a *App, path string) *uncut {
	t.Helper()
	u := &uncut{body: play(t, a, path).Body, last: map[packetbuf.Track]uint32{}} //nolint:bodyclose // ends with the test
	u.more = sync.NewCond(&u.mu)
	u.done.Go(func() {
		var raw bytes.Buffer
		tags := flv.NewReader(io.TeeReader(u.body, &raw), 0)
		_, _, _ = tags.Header() // its error is that of Next, too
		for raw.Reset(); ; {
			tag, err := tags.Next()
			u.mu.Lock()
			if u.err = err; err == nil {
				_, _ = raw.WriteTo(&u.got)
				track, _ := flv.TrackOf(tag.Type)
				u.last[track] = tag.Timestamp
			}
			u.more.Broadcast()
			u.mu.Unlock()
			if err != nil {
				return
			}
		}
	})
	t.Cleanup(func() {
		_ = u.body.Close()
		u.done.Wait()
	})
	return u
}

// until waits until the viewer has more than n bytes, and the packet p if it is not nil, and
// returns how many bytes it has.
func (u *uncut) until(t *testing.T, n int, p *packetbuf.Packet) int {
	t.Helper()
	u.mu.Lock()
	defer u.mu.Unlock()
	for u.err == nil && (u.got.Len() <= n || p != nil && u.last[p.Track] < p.Millis()) {
		u.more.Wait()
	}
	if u.err != nil {
		t.Fatal(u.err)
	}
	return u.got.Len()
}

func (u *uncut) bytes() []byte {
	u.mu.Lock()
	defer u.mu.Unlock()
	return bytes.Clone(u.got.Bytes())
}

// cutting is a viewer whose connection is cut repeatedly, and that resumes each time. It keeps
// everything up to the last complete media tag.
type cutting struct {
	kept  []byte // tags
	token string
	from  string
}

// read reads a number of bytes of tags from a response, and cuts the connection.
func (c *cutting) read(t *testing.T, resp *http.Response, n int) {
	t.Helper()
	defer resp.Body.Close()
	c.token = resp.Header.Get("Holdfast-Session")
	body := make([]byte, flvHead+n)
	if _, err := io.ReadFull(resp.Body, body); err != nil {
		t.Fatal(err)
	}
	tags := flv.NewReader(bytes.NewReader(body), 0)
	whole := flvHead
	for end := flvHead; ; {
		tag, err := tags.Next()
		if end += 11 + len(tag.Body) + 4; err != nil || end > len(body) {
			break // of the last one a part is there, or all but the size that follows it
		}
		p, err := tag.Packet()
		if err != nil || p == nil && tag.Type != flv.TypeData { // padding is data, and no packet
			t.Fatalf("a tag of type %d: got %v", tag.Type, err)
		}
		if p != nil && p.Media() {
			whole = end
			c.from = fmt.Sprintf("%c%d", p.Track.String()[0], tag.Timestamp)
		}
	}
	c.kept = append(c.kept, body[flvHead:whole]...)
}

// A viewer is cut off a hundred times at any byte, while the stream is live, held, and published
// by another session with another video, and resumes each time. It receives the same as a viewer
// that stays connected.
func TestCutAHundredTimes(t *testing.T) {
	log := &logs{}
	a := run(t, log, func(*configs.Config) {})
	rng := rand.New(rand.NewPCG(4, 100))
	one := publish(t, a, gen.Options{Source: 1, BFrames: 2})
	one.pushFor(t, 5*time.Second)
	u := stay(t, a, "/live/bench.flv")
	first := u.until(t, 0, one.push(t)) // its start and at least one frame
	c := &cutting{}
	c.read(t, play(t, a, "/live/bench.flv"), first) //nolint:bodyclose // ends with the test
	from, edge, inFiller, have := one, 0, 0, 0
	for cut := range 100 {
		switch cut {
		case 35:
			edge = u.until(t, 0, one.push(t))
			one.sink.End(ingest.Reset, "")
			from = nil
		case 65:
			from = publish(t, a, gen.Options{Source: 2, Width: 640, Height: 360, GOP: 20})
		}
		if from == nil { // held: synthesized frames and silence arrive without a publisher
			have = u.until(t, have, nil)
		} else {
			var last *packetbuf.Packet
			for range 1 + rng.IntN(60) {
				if p := from.push(t); p.Media() {
					last = p
				}
			}
			have = u.until(t, len(c.kept), nil)
			if last != nil && rng.IntN(3) > 0 {
				have = u.until(t, len(c.kept), last)
			}
		}
		resp := play(t, a, "/live/bench.flv?resume="+c.token+"&from="+c.from)
		if resp.StatusCode != http.StatusOK || resp.Header.Get("Holdfast-Resume") != "exact" || resp.Header.Get("Holdfast-Session") == c.token {
			t.Fatalf("cut %d: got %s, %v", cut, resp.Status, resp.Header)
		}
		left := have - len(c.kept)
		c.read(t, resp, left-rng.IntN(min(left, 50_000))*rng.IntN(2)) // at any byte, without falling far behind
		if from == nil && len(c.kept) > edge {
			inFiller++
		}
		if all := u.bytes(); !bytes.Equal(c.kept, all[:len(c.kept)]) {
			t.Fatalf("after cut %d, at %d bytes of %d, there is another byte", cut, len(c.kept), len(all))
		}
	}
	t.Logf("%d bytes after 100 cuts, %d of them in what the relay made", len(c.kept), inFiller)
	if inFiller < 10 {
		t.Error("the stream was hardly held")
	}
	if got := metric(t, a, `holdfast_viewer_resumes_total{outcome="exact",protocol="httpflv"}`); got != 100 {
		t.Errorf("got %v exact resumes are counted", got)
	}
	if s, _ := a.Stream("live/bench"); s.Sessions != 2 || s.Breaks["reset"] != 1 {
		t.Errorf("got %+v", s)
	}
}

// metric returns the value of a series as text.
func metric(t *testing.T, a *App, series string) (v float64) {
	t.Helper()
	_, body := get(t, "http://"+a.Addr("admin").String()+"/metrics")
	for l := range bytes.Lines([]byte(body)) {
		if rest, ok := bytes.CutPrefix(l, []byte(series+" ")); ok {
			if _, err := fmt.Sscan(string(rest), &v); err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	t.Fatalf("there is no series %s", series)
	return 0
}
