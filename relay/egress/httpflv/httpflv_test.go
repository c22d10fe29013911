package httpflv

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
	"github.com/holdfast-live/holdfast/testmedia"
	"github.com/holdfast-live/holdfast/testmedia/faultnet"
)

func TestMatch(t *testing.T) {
	for path, want := range map[string]string{
		"/live/cam.flv": "live cam", "/live/cam.flv.flv": "live cam.flv", "/live/.flv": "live ", "live/cam.flv": "live cam",
		"/live/cam": "", "/live/cam/x.flv": "", "/cam.flv": "", "/": "", "": "", "/live/cam.flv/": "", "//cam.flv": " cam",
	} {
		app, name, ok := Match(path)
		if got := app + " " + name; ok != (want != "") || ok && got != want {
			t.Errorf("Match(%q) = %q, %v", path, got, ok)
		}
	}
}

// The header of a response on a hijacked connection is the one that net/http would have sent.
func TestHead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServed()
		network := s.serve(t, nil)
		c := dial(t, network, get)
		in := textproto.NewReader(bufio.NewReader(c))
		status, err := in.ReadLine()
		if err != nil || status != "HTTP/1.1 200 OK" {
			t.Fatal(status, err)
		}
		got, err := in.ReadMIMEHeader()
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{
			"Content-Type": "video/x-flv", "Cache-Control": "no-cache, no-store, no-transform", "X-Accel-Buffering": "no",
			"X-Content-Type-Options": "nosniff", "Connection": "close", "Date": time.Now().UTC().Format(http.TimeFormat),
			"Holdfast-Session": "t0ken",
		}
		for key, value := range want {
			if got.Get(key) != value {
				t.Errorf("%s: got %q, want %q", key, got.Get(key), value)
			}
		}
		if len(got) != len(want) {
			t.Errorf("got additional headers %v", got)
		}
	})
}

// A request other than GET over HTTP/1.1 gets no stream, and leaves no subscription.
func TestAnswers(t *testing.T) {
	for _, tt := range []struct {
		name, request string
		refuse        error
		status        int
		says          string
		logged        string
	}{
		{"HEAD", "HEAD /live/cam.flv HTTP/1.1\r\nHost: relay\r\n\r\n", nil, 200, "", ""},
		{"refused", get, errors.New("not today"), http.StatusTeapot, "not today\n", `reason="not today"`},
		{"HEAD refused", "HEAD /live/cam.flv HTTP/1.1\r\nHost: relay\r\n\r\n", errors.New("not today"), http.StatusTeapot, "", "stream=live/cam"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServed()
				s.source.refuse = tt.refuse
				c := dial(t, s.serve(t, nil), tt.request)
				resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: strings.Fields(tt.request)[0]})
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				body, err := io.ReadAll(resp.Body)
				if err != nil || resp.StatusCode != tt.status || string(body) != tt.says {
					t.Errorf("got status %d, body %q, error %v", resp.StatusCode, body, err)
				}
				if n := s.source.open(); n != 0 {
					t.Errorf("got %d viewers, want 0", n)
				}
				if !strings.Contains(s.log.String(), tt.logged) {
					t.Errorf("got log %q", s.log.String())
				}
			})
		})
	}
}

// Viewers get the packets of the stream, and its end.
func TestStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServed()
		network := s.serve(t, nil)
		c := dial(t, network, get)
		synctest.Wait()
		want := packets(3 * time.Second)
		s.source.give(want...)
		s.source.end()
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		r := flv.NewReader(resp.Body, 0)
		video, audio, err := r.Header()
		if err != nil || !video || !audio {
			t.Error(video, audio, err)
		}
		expect(t, r, want)
		if _, err := r.Next(); !errors.Is(err, io.EOF) {
			t.Errorf("after the end: got error %v", err)
		}
		sum := uint64(0)
		for _, p := range want {
			sum += uint64(len(flv.Tag(p)))
		}
		if got := s.metrics.Bytes.Load(); got != sum || s.metrics.First.Load() != 1 {
			t.Errorf("got %d bytes of %d, %d joins", got, sum, s.metrics.First.Load())
		}
	})
}

// A viewer of a stream without packets gets a tag that players ignore, so that no proxy or NAT
// drops the connection.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServed()
		c := dial(t, s.serve(t, nil), get)
		synctest.Wait()
		media := packets(time.Second)
		s.source.give(media...)
		began := time.Now()
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		r := flv.NewReader(resp.Body, 0)
		expect(t, r, media)
		for i := range 4 {
			tag, err := r.Next()
			if err != nil || tag.Type != flv.TypeData || tag.Timestamp != media[len(media)-1].Millis() || !bytes.Equal(tag.Body, onIdle) {
				t.Fatalf("got tag %+v, error %v", tag, err)
			}
			if after := time.Since(began); after < 15*time.Second*time.Duration(i+1) || after > 16*time.Second*time.Duration(i+1) {
				t.Errorf("tag %d: got it after %v", i, after)
			}
		}
	})
}

// Players ignore these tags.
func TestPlayersIgnoreIdleTags(t *testing.T) {
	ffmpeg, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Skip("ffmpeg is not here")
	}
	packets := testmedia.Clip()
	var w tagWriter
	file := flv.Header(true, true)
	for i, p := range packets {
		tag := flv.Tag(p)
		if file = append(file, tag...); i%25 == 0 {
			w.last = p.Millis()
			file = append(file, w.idleTag()...)
		}
	}
	path := filepath.Join(t.TempDir(), "idle.flv")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), ffmpeg, "-v", "warning", "-xerror", "-i", path, "-f", "null", "-").CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("got error %v\n%s", err, out)
	}
}

// Padding precedes filler, as tags that all viewers share and that decode to nothing.
func TestPadding(t *testing.T) {
	p := packets(100 * time.Millisecond)[1]
	p.Flags, p.Padding = packetbuf.Filler, 16+3
	var w tagWriter
	bufs := w.Append(make(net.Buffers, 0, 8), p)
	if len(bufs) != 5 || &bufs[1][0] != &bufs[3][0] || len(bytes.Join(bufs[:4], nil)) != 19*packetbuf.PaddingUnit {
		t.Fatalf("got %d buffers, want one of 16 units, 3 shared ones of %d bytes and the tag", len(bufs), packetbuf.PaddingUnit)
	}
	r := flv.NewReader(io.MultiReader(bytes.NewReader(flv.Header(true, true)), &bufs), 0)
	for i := range 5 {
		tag, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := tag.Packet(); err != nil || (got != nil) != (i == 4) {
			t.Errorf("tag %d: got %+v, error %v", i, got, err)
		}
	}
	bufs = make(net.Buffers, 0, 8)
	if n := testing.AllocsPerRun(100, func() { bufs = w.Append(bufs[:0], p) }); n != 0 {
		t.Errorf("got %v allocations per viewer, want 0", n)
	}
}

// ffmpeg plays padded FLV without warnings and finds no additional track.
func TestFFmpegIgnoresPadding(t *testing.T) {
	for _, program := range []string{"ffmpeg", "ffprobe"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") == "true" { // nothing is skipped there
				t.Fatal(program + " is not installed")
			}
			t.Skip(program + " is not here")
		}
	}
	var w tagWriter
	file := net.Buffers{flv.Header(true, true)}
	for i, p := range testmedia.Clip() {
		if i%10 == 5 { // its packets are shared
			p = &packetbuf.Packet{Track: p.Track, Codec: p.Codec, Kind: p.Kind, DTS: p.DTS, CTO: p.CTO, Payload: p.Payload, Padding: 20}
		}
		file = w.Append(file, p)
	}
	path := filepath.Join(t.TempDir(), "padded.flv")
	if err := os.WriteFile(path, bytes.Join(file, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "ffmpeg", "-v", "info", "-nostats", "-hide_banner", "-xerror", "-i", path, "-f", "null", "-").CombinedOutput()
	if err != nil || bytes.Contains(out, []byte("New ")) {
		t.Errorf("got error %v\n%s", err, out)
	}
	out, err = exec.CommandContext(t.Context(), "ffprobe", "-v", "warning", "-count_packets", "-show_entries", "stream=codec_type", "-of", "csv=p=0", path).CombinedOutput()
	if got := strings.Fields(string(out)); err != nil || len(got) != 2 {
		t.Errorf("got error %v, streams %q, want video and audio", err, got)
	}
}

// A viewer that reads nothing is dropped after the write timeout. Others are not affected.
func TestStalledViewer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServed()
		network := s.serve(t, nil)
		stalled := dial(t, network, get)
		reading := dial(t, network, get)
		synctest.Wait()
		began := time.Now()
		go func() {
			for range 30 {
				s.source.give(packets(time.Second)...)
				time.Sleep(time.Second)
			}
			s.source.end()
		}()
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = io.Copy(io.Discard, reading)
		}()
		for s.source.open() == 2 {
			time.Sleep(100 * time.Millisecond)
		}
		// The network buffers most of a second, so the write blocks from the first or second on.
		if took := time.Since(began); took < writeTimeout*3/4 || took > writeTimeout+2*time.Second {
			t.Errorf("got drop after %v", took)
		}
		<-done
		if took := time.Since(began); took != 30*time.Second {
			t.Errorf("other viewer's stream ended after %v", took)
		}
		_ = stalled.Close()
	})
}

// Close ends viewers on hijacked connections: at once, or a second later if a write is blocked.
func TestClose(t *testing.T) {
	for _, tt := range []struct {
		name string
		read bool
		most time.Duration
	}{
		{"reading", true, 0},
		{"stalled", false, time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServed()
				network := s.serve(t, func(int) faultnet.Options { return faultnet.Options{Down: faultnet.Shape{Buffer: 64 << 10}} })
				c := dial(t, network, get)
				if tt.read {
					go func() { _, _ = io.Copy(io.Discard, c) }()
				}
				synctest.Wait()
				s.source.give(packets(time.Second)...)
				synctest.Wait()
				began := time.Now()
				s.Close()
				if took := time.Since(began); took != tt.most {
					t.Errorf("Close took %v", took)
				}
				if s.source.open() != 0 {
					t.Error("got a viewer after Close")
				}
				late := dial(t, network, get)
				resp, err := http.ReadResponse(bufio.NewReader(late), nil)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				if resp.StatusCode != http.StatusTeapot {
					t.Errorf("request after Close: got %v", resp)
				}
			})
		})
	}
}
