//go:build unix

package e2e

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/testmedia/m3u8"
)

// hlsClient is a low-latency player: it waits for each part, takes it at once, and holds every
// playlist that it sees against the rules.
type hlsClient struct {
	*wire
	base  string // of the stream, with a slash
	rules *m3u8.Validator
	media string // the media playlist's URL
	query string
	fragments

	segment uint64 // the one under way
	parts   int    // of it that are taken
	began   bool
	init    string       // in force
	jumped  func(string) // another run of the relay is played from here on
}

var errGone = errors.New("it is not there, and does not come")

// players is how many there are: each has a name of its own, by which the relay counts them.
var players atomic.Int64

func newHLSClient(t testing.TB, r *relay, stream string) *hlsClient {
	c := &hlsClient{wire: newWire(t), base: r.url("http", "/"+stream+"/"), rules: m3u8.NewValidator(), jumped: func(string) {}}
	// At a break sound may come apart from pictures, the more so on a busy machine, and a picture
	// that stands still is parted by its sound: two parts are short at each of six breaks.
	c.rules.MaxShort = 12
	c.agent = fmt.Sprintf("player-%d", players.Add(1))
	return c
}

func watchHLS(t testing.TB, r *relay, stream string) *viewer {
	t.Helper()
	return newHLSClient(t, r, stream).watch(t)
}

func (c *hlsClient) watch(t testing.TB) *viewer {
	v := &viewer{t: t, name: "HLS", behind: 700 * time.Millisecond, cut: c.wire.cut, grid: 22 * time.Millisecond, exact: true, line: c.wire}
	v.breaks = func() int { return c.rules.Discontinuities() }
	c.jumped = v.resumed
	v.start(c.read, c.leave)
	return v
}

// read is the next packet.
func (c *hlsClient) read() (*packetbuf.Packet, error) {
	for {
		if p := c.next(); p != nil {
			return p, nil
		}
		if c.media == "" {
			if err := c.index(); err != nil {
				return nil, err
			}
		}
		if err := c.reload(); err != nil {
			return nil, err
		}
	}
}

// get is one resource; none where the relay says to come again later, once that is over.
func (c *hlsClient) get(url string) ([]byte, error) {
	for {
		resp, body, err := c.fetch(url) //nolint:bodyclose // fetch has read and closed it
		if err != nil {
			if c.ctx.Err() == nil && c.wasCut() {
				continue
			}
			return nil, err
		}
		after, unsaid := strconv.Atoi(resp.Header.Get("Retry-After"))
		switch {
		case resp.StatusCode == http.StatusOK:
			return body, nil
		case resp.StatusCode != http.StatusNotFound && resp.StatusCode != http.StatusServiceUnavailable:
			return nil, fmt.Errorf("%s: %s: %s", url, resp.Status, body)
		case unsaid != nil:
			return nil, fmt.Errorf("%s: %s without Retry-After: %w", url, resp.Status, errGone)
		}
		select {
		case <-time.After(time.Duration(after) * time.Second):
			return nil, nil
		case <-c.ctx.Done():
			return nil, c.ctx.Err()
		}
	}
}

// index finds the media playlist: the first that the multivariant one names.
func (c *hlsClient) index() error {
	body, err := c.get(c.base + "index.m3u8")
	if err != nil || body == nil {
		return err
	}
	for line := range strings.Lines(string(body)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			c.media = c.base + line
			return nil
		}
	}
	return fmt.Errorf("the multivariant playlist names no other:\n%s", body)
}

// reload waits for the next playlist and takes what it brings.
func (c *hlsClient) reload() error {
	body, err := c.get(c.media + c.query)
	if err != nil || body == nil {
		c.query = ""
		return err
	}
	if err := c.rules.Add(string(body)); err != nil {
		return fmt.Errorf("%w\n%s", err, body)
	}
	p, err := m3u8.Parse(string(body))
	if err != nil {
		return err
	}
	for i, s := range append(p.Segments, p.Open) {
		number := p.Sequence() + uint64(p.Skipped+i) //nolint:gosec // few
		if err := c.take(number, s); err != nil {
			return err
		}
	}
	if p.Ended {
		c.query = ""
		if len(c.ready) == 0 {
			return io.EOF
		}
		return nil
	}
	join := "?"
	if strings.Contains(c.media, "?") {
		join = "&"
	}
	c.query = fmt.Sprintf("%s_HLS_msn=%d&_HLS_part=%d", join, c.rules.Last()+1, len(p.Open.Parts))
	return nil
}

// take takes what is new of a segment, part by part where it has parts.
func (c *hlsClient) take(number uint64, s m3u8.Segment) error {
	if s.URI == "" && len(s.Parts) == 0 || c.began && number < c.segment {
		return nil
	}
	if c.began && number > c.segment+1 {
		c.jumped("keyframe")
	}
	if !c.began || number > c.segment {
		c.began, c.segment, c.parts = true, number, 0
	}
	if s.Init != c.init {
		if err := c.file(s.Init); err != nil {
			return err
		}
		c.init = s.Init
	}
	if len(s.Parts) == 0 {
		if c.parts > 0 { // its parts are gone from the playlist; this player has taken some
			return nil
		}
		c.parts = 1
		return c.file(s.URI)
	}
	for ; c.parts < len(s.Parts); c.parts++ {
		if err := c.file(m3u8.Attributes(s.Parts[c.parts])["URI"]); err != nil {
			return err
		}
	}
	return nil
}

func (c *hlsClient) file(name string) error {
	body, err := c.get(c.base + name)
	if errors.Is(err, errGone) { // it has left the playlist meanwhile: a viewer that came too late
		return nil
	}
	if err != nil || body == nil {
		return err
	}
	return c.add(body)
}
