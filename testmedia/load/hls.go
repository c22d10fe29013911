package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/holdfast-live/holdfast/testmedia/m3u8"
)

// openHLS asks for the stream as a low-latency player does: the playlist again for each part,
// then the part, on a connection of its own. The bytes of playlists count.
func openHLS(addr string) (*viewer, error) {
	ctx, end := context.WithCancel(context.Background())
	p := &player{ctx: ctx, end: end, base: "http://" + addr + "/live/load/", http: &http.Client{Transport: &http.Transport{MaxConnsPerHost: 2}}}
	begun := time.Now()
	index, err := p.get("index.m3u8")
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
	told               int // bytes of playlists that Read has not yielded yet
	wanted             []string
	last               string // the newest part that was asked for
}

func (p *player) ask(name string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(p.ctx, http.MethodGet, p.base+name, nil)
	if err != nil {
		return nil, err
	}
	resp, err := p.http.Do(req)
	if err == nil && resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close()
		err = fmt.Errorf("%s: %s", name, resp.Status)
	}
	return resp, err
}

func (p *player) get(name string) (string, error) {
	resp, err := p.ask(name)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	_, err = b.ReadFrom(resp.Body)
	return b.String(), err
}

// Read implements io.Reader.
func (p *player) Read(b []byte) (int, error) {
	for {
		if p.part != nil {
			n, err := p.part.Read(b)
			if n > 0 {
				n, p.told = n+p.told, 0
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
		p.part, p.last, p.wanted = resp.Body, p.wanted[0], p.wanted[1:]
	}
}

// reload waits for the next playlist. A player begins with the newest part.
func (p *player) reload() error {
	text, err := p.get(p.media + p.query)
	if err != nil {
		return err
	}
	p.told += len(text)
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
	from := len(parts) - 1
	for i, uri := range parts {
		if uri == p.last {
			from = i + 1
		}
	}
	p.wanted = parts[max(0, from):]
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
