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

// openHLS reads the stream as a low-latency player does. For each part it requests the playlist and then
// the part, on its own connection. Playlists count with their compressed size.
func openHLS(addr string) (*viewer, error) {
	ctx, end := context.WithCancel(context.Background())
	p := &hlsReader{ctx: ctx, end: end, base: "http://" + addr + "/live/load/", http: &http.Client{Transport: &http.Transport{MaxConnsPerHost: 2, DisableCompression: true}}}
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
	return nil, fmt.Errorf("no media playlist in\n%s", index)
}

// hlsReader reads the parts of a stream.
type hlsReader struct {
	base, media, query string
	http               *http.Client
	ctx                context.Context
	end                context.CancelFunc
	part               io.ReadCloser
	playlistBytes      []byte // playlist bytes that Read has yet to return
	wanted             []string
	lastPart           string // newest part requested
}

// errPartRemoved ends a viewer that missed parts. The relay is measured with viewers that keep up.
var errPartRemoved = errors.New("the part read last is no longer in the playlist")

func (p *hlsReader) request(name string) (*http.Response, error) {
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

// get returns a playlist and its bytes on the wire.
func (p *hlsReader) get(name string) (text string, wire []byte, err error) {
	resp, err := p.request(name)
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

// Read implements io.Reader. The bytes of a playlist follow the part that it listed, so that the first
// byte returned is media.
func (p *hlsReader) Read(b []byte) (int, error) {
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
		resp, err := p.request(p.wanted[0]) //nolint:bodyclose // Read closes it at its end
		if err != nil {
			return 0, err
		}
		p.part = readCloser{io.MultiReader(resp.Body, bytes.NewReader(p.playlistBytes)), resp.Body}
		p.playlistBytes, p.lastPart, p.wanted = nil, p.wanted[0], p.wanted[1:]
	}
}

// readCloser reads from one value and closes another.
type readCloser struct {
	io.Reader
	io.Closer
}

// reload waits for the next playlist. A player begins with the newest part.
func (p *hlsReader) reload() error {
	text, wire, err := p.get(p.media + p.query)
	if err != nil {
		return err
	}
	p.playlistBytes = append(p.playlistBytes, wire...)
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
	if p.lastPart != "" {
		if from = slices.Index(parts, p.lastPart) + 1; from == 0 {
			return errPartRemoved
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
func (p *hlsReader) Close() error {
	p.end()
	p.http.CloseIdleConnections()
	return nil
}
