package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-live/holdfast/testmedia/m3u8"
)

// openHLS asks for the stream as a low-latency player does: the playlist again for each part,
// then the part, on a connection of its own. The bytes of playlists count, as they are on the
// wire: packed.
func openHLS(addr string) (*viewer, error) {
	ctx, end := context.WithCancel(context.Background())
	p := &player{ctx: ctx, end: end, base: "http://" + addr + "/live/load/", http: &http.Client{Transport: &http.Transport{MaxConnsPerHost: 2, DisableCompression: true}}}
	begun := time.Now()
	index, _, err := p.get("index.m3u8")
	if err != nil {
		end()
		return nil, err
	}
	for line := range strings.Lines(index) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			p.media = line
			return &viewer{ReadCloser: p, begun: begun}, nil
		}
	}
	end()
	return nil, fmt.Errorf("no playlist in\n%s", index)
}

// player reads parts.
type player struct {
	base, media, query string
	http               *http.Client
	ctx                context.Context
	end                context.CancelFunc
	part               io.ReadCloser
	told               []byte // of playlists, that Read has not yielded yet
	wanted             []string
	last               string // the newest part that was asked for
}

// errBehind ends a viewer that missed parts: the relay is measured with viewers that keep up.
var errBehind = errors.New("the part that was read last has left the playlist")

func (p *player) ask(name string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(p.ctx, http.MethodGet, p.base+name, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept-Encoding", "gzip")
	resp, err := p.http.Do(req)
	if err == nil && resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close()
		err = fmt.Errorf("%s: %s", name, resp.Status)
	}
	return resp, err
}

// get returns a playlist, and what of it was on the wire.
func (p *player) get(name string) (text string, wire []byte, err error) {
	resp, err := p.ask(name)
	if err != nil {
		return "", nil, err
	}
	defer resp.Body.Close()
	if wire, err = io.ReadAll(resp.Body); err != nil || resp.Header.Get("Content-Encoding") != "gzip" {
		return string(wire), wire, err
	}
	z, err := gzip.NewReader(bytes.NewReader(wire))
	if err != nil {
		return "", nil, err
	}
	unpacked, err := io.ReadAll(z)
	return string(unpacked), wire, err
}

// Read implements io.Reader. What was on the wire of a playlist follows the part that it named, so
// that what comes first is media.
func (p *player) Read(b []byte) (int, error) {
	for {
		if p.part != nil {
			n, err := p.part.Read(b)
			if n > 0 {
				return n, nil
			}
			_ = p.part.Close()
			if p.part = nil; err != io.EOF {
				return 0, err
			}
		}
		if len(p.wanted) == 0 {
			if err := p.reload(); err != nil {
				return 0, err
			}
			continue
		}
		resp, err := p.ask(p.wanted[0]) //nolint:bodyclose // Read closes it at its end
		if err != nil {
			return 0, err
		}
		p.part = both{io.MultiReader(resp.Body, bytes.NewReader(p.told)), resp.Body}
		p.told, p.last, p.wanted = nil, p.wanted[0], p.wanted[1:]
	}
}

// both reads one thing and closes another.
type both struct {
	io.Reader
	io.Closer
}

// reload waits for the next playlist. A player begins with the newest part.
func (p *player) reload() error {
	text, wire, err := p.get(p.media + p.query)
	if err != nil {
		return err
	}
	p.told = append(p.told, wire...)
	list, err := m3u8.Parse(text)
	if err != nil {
		return err
	}
	var parts []string
	for _, s := range append(list.Segments, list.Open) {
		for _, part := range s.Parts {
			parts = append(parts, m3u8.Attributes(part)["URI"])
		}
	}
	from := max(0, len(parts)-1)
	if p.last != "" {
		if from = slices.Index(parts, p.last) + 1; from == 0 {
			return errBehind
		}
	}
	p.wanted = parts[from:]
	next := list.Sequence() + uint64(list.Skipped+len(list.Segments)) //nolint:gosec // not negative
	join := "?"
	if strings.Contains(p.media, "?") {
		join = "&"
	}
	p.query = fmt.Sprintf("%s_HLS_msn=%d&_HLS_part=%d", join, next, len(list.Open.Parts))
	return nil
}

// Close implements io.Closer.
func (p *player) Close() error {
	p.end()
	p.http.CloseIdleConnections()
	return nil
}
