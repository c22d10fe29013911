//go:build unix

package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
)

// flvClient plays over HTTP-FLV and resumes at its exact position.
type flvClient struct {
	*wire
	url         string
	body        io.ReadCloser
	tags        *flv.Reader
	token, from string
	resumed     func(how string)
}

// watchFLV plays a stream over HTTP-FLV.
func watchFLV(t testing.TB, r *relay, stream string) *viewer {
	t.Helper()
	c := &flvClient{wire: newWire(t), url: r.url("http", "/"+stream+".flv")}
	v := &viewer{t: t, name: "HTTP-FLV", resumesExactly: true, wire: c.wire, cut: c.wire.cut}
	c.resumed = v.recordResume
	if err := c.open(); err != nil {
		t.Fatal(err)
	}
	v.start(c.read, c.leave)
	return v
}

func (c *flvClient) open() error {
	url := c.url
	if c.tokenInvalid.Load() {
		c.token = "not-a-token"
	}
	if c.token != "" {
		url += "?resume=" + c.token + "&from=" + c.from
	}
	req, err := http.NewRequestWithContext(c.ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		return fmt.Errorf("%s: %s", resp.Status, text)
	}
	if c.token != "" {
		c.resumed(resp.Header.Get("Holdfast-Resume"))
	}
	c.body, c.tags, c.token = resp.Body, flv.NewReader(resp.Body, 0), resp.Header.Get("Holdfast-Session")
	return nil
}

// read returns the next packet.
func (c *flvClient) read() (*packetbuf.Packet, error) {
	for {
		tag, err := c.tags.Next()
		if err == nil {
			p, err := tag.Packet()
			if err == nil && p != nil && p.Media() {
				c.from = fmt.Sprintf("%c%d", p.Track.String()[0], tag.Timestamp)
			}
			return p, err
		}
		_ = c.body.Close()
		if c.ctx.Err() != nil || !c.takeCut() {
			return nil, err
		}
		err = c.open()
		for err != nil && c.ctx.Err() == nil && c.takeCut() {
			err = c.open()
		}
		if err != nil {
			return nil, err
		}
	}
}

// get requests a URL and returns the body, which the caller must close.
func get(t testing.TB, ctx context.Context, url string, status int) io.ReadCloser { //nolint:revive // t comes first in tests
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != status {
		text, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		t.Fatalf("GET %s: got %s, want %d\n%s", url, resp.Status, status, text)
	}
	return resp.Body
}

// fetch requests a URL and returns the whole body.
func fetch(t testing.TB, url string) string {
	t.Helper()
	body := get(t, waitContext(t), url, http.StatusOK)
	defer body.Close()
	text, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
