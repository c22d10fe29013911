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

// flvClient plays over HTTP-FLV, and comes back to where it was.
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
	v := &viewer{t: t, name: "HTTP-FLV", exact: true, line: c.wire, cut: c.wire.cut}
	c.resumed = v.resumed
	if err := c.open(); err != nil {
		t.Fatal(err)
	}
	v.start(c.read, c.leave)
	return v
}

func (c *flvClient) open() error {
	url := c.url
	if c.spoiled.Load() {
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

// read is the next packet.
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
		if c.ctx.Err() != nil || !c.wasCut() {
			return nil, err
		}
		err = c.open()
		for err != nil && c.ctx.Err() == nil && c.wasCut() {
			err = c.open()
		}
		if err != nil {
			return nil, err
		}
	}
}

// get asks for a URL and returns the body, which the caller closes.
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
		t.Fatalf("GET %s: %s instead of %d\n%s", url, resp.Status, status, text)
	}
	return resp.Body
}

// fetch is get for a body that ends.
func fetch(t testing.TB, url string) string {
	t.Helper()
	body := get(t, within(t), url, http.StatusOK)
	defer body.Close()
	text, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
