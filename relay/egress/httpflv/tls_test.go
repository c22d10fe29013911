package httpflv

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf/flv"
)

// secured serves over TLS on loopback and returns a client for HTTP/1.1 or HTTP/2.
func (s *served) secured(t *testing.T, http2 bool) (url string, client *http.Client) {
	t.Helper()
	server := httptest.NewUnstartedServer(s.Handler)
	server.EnableHTTP2 = http2
	server.StartTLS()
	t.Cleanup(func() {
		s.Close()
		server.Close()
	})
	return server.URL + "/live/cam.flv", server.Client()
}

func fetch(t *testing.T, client *http.Client, url string) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// Viewers get the same stream over TLS, in one write per wake-up, and over HTTP/2, through
// net/http.
func TestTLS(t *testing.T) {
	for _, tt := range []struct {
		name  string
		http2 bool
		proto string
	}{
		{"HTTP/1.1", false, "HTTP/1.1"},
		{"HTTP/2", true, "HTTP/2.0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newServed()
			url, client := s.secured(t, tt.http2)
			resp := fetch(t, client, url)
			defer resp.Body.Close()
			if resp.Proto != tt.proto || resp.Header.Get("Content-Type") != "video/x-flv" || resp.Header.Get("X-Accel-Buffering") != "no" {
				t.Errorf("got %s %v", resp.Proto, resp.Header)
			}
			r := flv.NewReader(resp.Body, 0)
			want := packets(2 * time.Second)
			s.source.give(want[:40]...)
			expect(t, r, want[:40]) // everything is flushed
			s.source.give(want[40:]...)
			s.source.end()
			expect(t, r, want[40:])
			if _, err := r.Next(); !errors.Is(err, io.EOF) {
				t.Errorf("after the end: got error %v", err)
			}
			s.Close()
			if s.source.open() != 0 {
				t.Error("got a viewer after the end")
			}
		})
	}
}

// Close also ends viewers over TLS and HTTP/2 that do not read.
func TestCloseTLS(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		s := newServed()
		url, client := s.secured(t, http2)
		resp := fetch(t, client, url)
		defer resp.Body.Close()
		r := flv.NewReader(resp.Body, 0)
		if _, _, err := r.Header(); err != nil {
			t.Fatal(err)
		}
		for range 64 { // far more than the socket buffers hold
			s.source.give(packets(time.Second)...)
		}
		began := time.Now()
		s.Close()
		if took := time.Since(began); took > writeTimeout*2/3 {
			t.Errorf("HTTP/2 %v: Close took %v", http2, took)
		}
		if s.source.open() != 0 {
			t.Errorf("HTTP/2 %v: got a viewer after Close", http2)
		}
	}
}
