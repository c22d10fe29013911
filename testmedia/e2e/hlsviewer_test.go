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

// hlsClient is a low-latency player. It waits for each part, requests it at once and validates every
// playlist.
type hlsClient struct {
	*wire
	base  string // URL of the stream, with a slash
	rules *m3u8.Validator
	media string // URL of the media playlist
	query string
	fragments

	segment   uint64 // number of the current segment
	parts     int    // how many of its parts have been read
	began     bool
	init      string       // the current init section
	onRestart func(string) // called when another run of the relay is played
}

var errGone = errors.New("resource gone")

// playerCount numbers the players. Each has its own name, by which the relay counts them.
var playerCount atomic.Int64

func newHLSClient(t testing.TB, r *relay, stream string) *hlsClient {
	c := &hlsClient{wire: newWire(t), base: r.url("http", "/"+stream+"/"), rules: m3u8.NewValidator(), onRestart: func(string) {}}
	// At a break, audio and video may arrive apart, more so on a busy machine, and audio splits the parts
	// of a frozen frame: up to two parts are short at each of six breaks.
	c.rules.MaxShort = 12
	c.agent = fmt.Sprintf("player-%d", playerCount.Add(1))
	return c
}

func watchHLS(t testing.TB, r *relay, stream string) *viewer {
	t.Helper()
	return newHLSClient(t, r, stream).watch(t)
}

func (c *hlsClient) watch(t testing.TB) *viewer {
	v := &viewer{t: t, name: "HLS", latency: 700 * time.Millisecond, cut: c.wire.cut, audioShift: 22 * time.Millisecond, resumesExactly: true, wire: c.wire}
	v.discontinuities = func() int { return c.rules.Discontinuities() }
	c.onRestart = v.recordResume
	v.start(c.read, c.leave)
	return v
}

// read returns the next packet.
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

// get returns a resource. If the response is 404 or 503 with Retry-After, get waits and returns nil.
func (c *hlsClient) get(url string) ([]byte, error) {
	for {
		resp, body, err := c.fetch(url) //nolint:bodyclose // fetch has read and closed it
		if err != nil {
			if c.ctx.Err() == nil && c.takeCut() {
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

// index finds the media playlist: the first one in the multivariant playlist.
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
	return fmt.Errorf("no media playlist in the multivariant playlist:\n%s", body)
}

// reload waits for the next playlist and reads its new media.
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
		if err := c.readSegment(number, s); err != nil {
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

// readSegment reads what is new of a segment, part by part if it has parts.
func (c *hlsClient) readSegment(number uint64, s m3u8.Segment) error {
	if s.URI == "" && len(s.Parts) == 0 || c.began && number < c.segment {
		return nil
	}
	if c.began && number > c.segment+1 {
		c.onRestart("keyframe")
	}
	if !c.began || number > c.segment {
		c.began, c.segment, c.parts = true, number, 0
	}
	if s.Init != c.init {
		if err := c.readFile(s.Init); err != nil {
			return err
		}
		c.init = s.Init
	}
	if len(s.Parts) == 0 {
		if c.parts > 0 { // the playlist no longer lists the parts, and this player has read some
			return nil
		}
		c.parts = 1
		return c.readFile(s.URI)
	}
	for ; c.parts < len(s.Parts); c.parts++ {
		if err := c.readFile(m3u8.Attributes(s.Parts[c.parts])["URI"]); err != nil {
			return err
		}
	}
	return nil
}

func (c *hlsClient) readFile(name string) error {
	body, err := c.get(c.base + name)
	if errors.Is(err, errGone) { // it has been removed from the playlist in the meantime
		return nil
	}
	if err != nil || body == nil {
		return err
	}
	return c.add(body)
}
