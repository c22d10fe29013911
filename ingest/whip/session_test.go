package whip

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
)

// hasPackets reports whether a stream has at least these numbers of video and audio packets.
func (s *fakeStream) hasPackets(video, audio int) bool {
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	var n [packetbuf.NumTracks]int
	for _, p := range s.packets {
		n[p.Track]++
	}
	return n[packetbuf.Video] >= video && n[packetbuf.Audio] >= audio
}

// TestSession publishes the output of a real encoder and ends it with DELETE.
func TestSession(t *testing.T) {
	h := newTestServer(t, nil)
	c := newTestPublisher(t)
	location := c.publish(t, h)
	s := h.stream("a")
	c.sendUntil(t, func() bool { return s.hasPackets(60, 60) })
	if got := h.request(t, http.MethodDelete, location, "").status; got != http.StatusOK {
		t.Errorf("DELETE: got %d", got)
	}
	if cause := h.waitForEnd("a"); cause != ingest.Unpublish {
		t.Errorf("got end %s, %s", cause, s.detail)
	}
	<-c.closed
	h.waitUntil(func() bool { return h.taken == 0 })
	if got := h.request(t, http.MethodDelete, location, "").status; got != http.StatusNotFound {
		t.Errorf("DELETE again: got %d", got)
	}

	r := h.requests[0]
	if r.App != "live" || r.Name != "a" || r.Protocol != ingest.WHIP || r.Remote != "192.0.2.1:1000" || r.Session == nil {
		t.Errorf("got request %+v", r)
	}
	units := clipOf(t, "h264 slices").units
	var last [packetbuf.NumTracks]*packetbuf.Packet
	at := -1
	for _, p := range s.packets {
		before := last[p.Track]
		switch {
		case before == nil && p.Kind != packetbuf.Config:
			t.Fatalf("%s: got a %s packet first", p.Track, p.Kind)
		case before != nil && p.DTS < before.DTS:
			t.Fatalf("%s: got %v, then %v, want rising times", p.Track, before.DTS, p.DTS)
		case before != nil && before.Kind == packetbuf.Config && p.Track == packetbuf.Video && p.Kind != packetbuf.Key:
			t.Fatalf("after the configuration: got a %s packet", p.Kind)
		}
		last[p.Track] = p
		if p.Kind == packetbuf.Config {
			continue
		}
		if p.Track == packetbuf.Audio {
			if !bytes.Equal(p.Payload, opusFrame) || p.Codec != packetbuf.Opus {
				t.Fatalf("got audio %s %x", p.Codec, p.Payload)
			}
			continue
		}
		if at < 0 {
			at = slices.IndexFunc(units, func(u []byte) bool { return bytes.Equal(u, p.Payload) })
		}
		if at < 0 || !bytes.Equal(p.Payload, units[at%len(units)]) || p.Codec != packetbuf.H264 {
			t.Fatalf("frame %d: got another than was sent", at)
		}
		at++
	}
}

// TestPublisherLeaves closes the connection without a DELETE.
func TestPublisherLeaves(t *testing.T) {
	h := newTestServer(t, nil)
	c := newTestPublisher(t)
	c.publish(t, h)
	s := h.stream("a")
	c.sendUntil(t, func() bool { return s.hasPackets(5, 5) })
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if cause := h.waitForEnd("a"); cause != ingest.EOF && cause != ingest.ICE {
		t.Errorf("got end %s, %s", cause, s.detail)
	}
	h.waitUntil(func() bool { return h.taken == 0 })
	if h.Sessions() != 0 {
		t.Errorf("got %d sessions", h.Sessions())
	}
}

// TestTakeover makes the stream close the session.
func TestTakeover(t *testing.T) {
	h := newTestServer(t, nil)
	c := newTestPublisher(t)
	location := c.publish(t, h)
	s := h.stream("a")
	c.sendUntil(t, func() bool { return s.hasPackets(5, 5) })
	s.session.Close(ingest.Takeover, "another took the stream")
	s.session.Close(ingest.Kick, "later")
	if cause := h.waitForEnd("a"); cause != ingest.Takeover || s.detail != "another took the stream" {
		t.Errorf("got end %s, %s", cause, s.detail)
	}
	<-c.closed
	h.waitUntil(func() bool { return h.taken == 0 })
	if got := h.request(t, http.MethodDelete, location, "").status; got != http.StatusNotFound {
		t.Errorf("DELETE: got %d", got)
	}
}

// TestStreamRefusesPackets makes the session end with an error of its sink.
func TestStreamRefusesPackets(t *testing.T) {
	h := newTestServer(t, nil)
	c := newTestPublisher(t)
	c.publish(t, h)
	s := h.stream("a")
	h.mu.Lock()
	s.failure = context.Canceled
	h.mu.Unlock()
	c.sendUntil(t, func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return s.cause != ""
	})
	if s.cause != ingest.Kick {
		t.Errorf("got end %s, %s", s.cause, s.detail)
	}
	<-c.closed
}

// TestNeverConnects checks that a session whose peer never connects ends.
func TestNeverConnects(t *testing.T) {
	h := newTestServer(t, func(o *Options) { o.Connect = 50 * time.Millisecond })
	h.publish(t, "/live/a/whip", offerText(t, "obs"))
	if cause := h.waitForEnd("a"); cause != ingest.ICE {
		t.Errorf("got end %s", cause)
	}
	h.waitUntil(func() bool { return h.taken == 0 })
	if h.Sessions() != 0 {
		t.Errorf("got %d sessions", h.Sessions())
	}
}

// TestRefused makes the stream refuse the publisher, and shuts the relay down.
func TestRefused(t *testing.T) {
	h := newTestServer(t, nil)
	h.refusal = &ingest.Refusal{Outcome: ingest.RefusedKey, Reason: "wrong key"}
	headers := []string{"Content-Type", "application/sdp"}
	if w := h.request(t, http.MethodPost, "/live/a/whip?key=x", offerText(t, "obs"), headers...); w.status != http.StatusUnauthorized {
		t.Errorf("got %d %s", w.status, w.body.String())
	}
	h.waitUntil(func() bool { return h.taken == 0 })
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.refusal = nil
	if w := h.request(t, http.MethodPost, "/live/a/whip", offerText(t, "obs"), headers...); w.status != http.StatusServiceUnavailable || w.header.Get("Retry-After") == "" {
		t.Errorf("got %d %s", w.status, w.body.String())
	}
	if h.taken != 0 || h.Sessions() != 0 || len(h.sinks) != 0 {
		t.Errorf("got %d slots taken, %d sessions", h.taken, h.Sessions())
	}
}

// TestRequestKey checks that the publisher is asked for keyframes, but at most twice a second.
func TestRequestKey(t *testing.T) {
	h := newTestServer(t, nil)
	c := newTestPublisher(t)
	c.publish(t, h)
	s := h.stream("a")
	c.sendUntil(t, func() bool { return s.hasPackets(5, 5) })
	asks := s.session.(ingest.KeyRequester)
	last := func() time.Time { // when the publisher was asked
		ses := s.session.(*session)
		ses.mu.Lock()
		pictures := ses.layers.all[0].track
		ses.mu.Unlock()
		pictures.mu.Lock()
		defer pictures.mu.Unlock()
		return pictures.keyRequested
	}
	before := time.Time{}
	for range 4 {
		c.sendUntil(t, func() bool {
			asks.RequestKey()
			now := last()
			if now.Equal(before) {
				return false
			}
			if gap := now.Sub(before); gap < wantedKeyInterval {
				t.Errorf("got another request after %v", gap)
			}
			before = now
			return true
		})
		sendUntilFeedback(t, c, func(*rtcp.PictureLossIndication) bool { return true })
	}
}

// TestLimit checks that the publisher is sent its ceiling, and the end of it.
func TestLimit(t *testing.T) {
	h := newTestServer(t, nil)
	c := newTestPublisher(t)
	c.publish(t, h)
	s := h.stream("a")
	c.sendUntil(t, func() bool { return s.hasPackets(5, 5) })
	limits := s.session.(ingest.Limiter)
	between := func(least, most float32) func(*rtcp.ReceiverEstimatedMaximumBitrate) bool {
		return func(p *rtcp.ReceiverEstimatedMaximumBitrate) bool { return p.Bitrate >= least && p.Bitrate <= most }
	}
	limits.Limit(300_000)
	if p := sendUntilFeedback(t, c, between(290_000, 300_000)); len(p.SSRCs) != 2 {
		t.Errorf("got SSRCs %v", p.SSRCs)
	}
	limits.Limit(1000)
	sendUntilFeedback(t, c, between(minCeiling*0.9, minCeiling))
	limits.Limit(0)
	sendUntilFeedback(t, c, between(noCeiling*0.9, noCeiling))
}

// TestJunk sends unreadable packets among the video, and false reports. The stream must get only what was
// sent, from a keyframe on.
func TestJunk(t *testing.T) {
	h := newTestServer(t, nil)
	c := newTestPublisher(t)
	c.publish(t, h)
	s := h.stream("a")
	ssrc := uint32(c.GetSenders()[0].GetParameters().Encodings[0].SSRC)
	for i, payload := range [][]byte{{0}, {24, 0xff, 0xff, 1}, {28}, {29, 0x80}, {31, 1, 2}, bytes.Repeat([]byte{0xff}, 1100), {28, 0x85, 1}} {
		c.sendUntil(t, func() bool { return s.hasPackets(30*(i+1), 5) })
		c.sendJunk(t, payload)
		c.sendJunk(t, nil)
		reports := []rtcp.Packet{
			&rtcp.SenderReport{SSRC: ssrc, NTPTime: uint64(i) << 60, RTPTime: uint32(i) << 29}, &rtcp.Goodbye{Sources: []uint32{ssrc + 1}},
			&rtcp.RawPacket{0x81, 206, 0, 1, 1, 2, 3, byte(i)},
		}
		for _, r := range reports {
			_ = c.WriteRTCP([]rtcp.Packet{r}) // some are not sent at all
		}
	}
	c.sendUntil(t, func() bool { return s.hasPackets(300, 5) })
	units := clipOf(t, "h264 slices").units
	h.mu.Lock()
	defer h.mu.Unlock()
	at, breaks := -1, 0
	for _, p := range s.packets {
		if p.Track != packetbuf.Video || p.Kind == packetbuf.Config {
			continue
		}
		next := slices.IndexFunc(units, func(u []byte) bool { return bytes.Equal(u, p.Payload) })
		if next < 0 {
			t.Fatalf("got a frame that was not sent: %.40x", p.Payload)
		}
		if at >= 0 && next != (at+1)%len(units) {
			if breaks++; p.Kind != packetbuf.Key {
				t.Errorf("got frame %d after %d", next, at)
			}
		}
		at = next
	}
	if s.cause != "" || breaks == 0 {
		t.Errorf("got %d breaks, end %q", breaks, s.cause)
	}
}

// TestRestartOverHTTP restarts ICE of a session; malformed restarts must change nothing.
func TestRestartOverHTTP(t *testing.T) {
	h := newTestServer(t, nil)
	location, _ := h.publish(t, "/live/a/whip", offerText(t, "chromium"))
	patch := func(body string) *recorder {
		return h.request(t, http.MethodPatch, location, body, "Content-Type", "application/trickle-ice-sdpfrag", "If-Match", "*")
	}
	credentials := "a=ice-ufrag:newu\r\na=ice-pwd:" + strings.Repeat("n", 24) + "\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n"
	if w := patch(credentials + "a=candidate:nonsense\r\n"); w.status != http.StatusBadRequest {
		t.Errorf("got %d %s", w.status, w.body.String())
	}
	w := patch(credentials + "a=candidate:1 1 udp 2130706431 127.0.0.1 9 typ host\r\n")
	if w.status != http.StatusOK || !strings.Contains(w.body.String(), "a=ice-ufrag:") || !strings.Contains(w.body.String(), "a=candidate:") || w.header.Get("ETag") == "" {
		t.Errorf("got %d %s", w.status, w.body.String())
	}
	if w := patch(credentials); w.status != http.StatusBadRequest {
		t.Errorf("with the same credentials: got %d %s", w.status, w.body.String())
	}
	if got := h.request(t, http.MethodDelete, location, "").status; got != http.StatusOK {
		t.Errorf("DELETE: got %d", got)
	}
	if cause := h.waitForEnd("a"); cause != ingest.Unpublish {
		t.Errorf("got end %s", cause)
	}
}

// TestManySessions opens and closes sessions, which must leave nothing running.
func TestManySessions(t *testing.T) {
	h := newTestServer(t, nil)
	offers := []string{offerText(t, "chromium"), offerText(t, "obs-simulcast"), offerText(t, "firefox"), offerText(t, "audio")}
	const all = 500
	for i := range all {
		location, _ := h.publish(t, "/live/a/whip", offers[i%len(offers)])
		if got := h.request(t, http.MethodDelete, location, "").status; got != http.StatusOK {
			t.Fatalf("DELETE: got %d", got)
		}
	}
	h.waitUntil(func() bool { return h.ended == all && h.taken == 0 })
	if h.Sessions() != 0 {
		t.Errorf("got %d sessions", h.Sessions())
	}
}
