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

// have tells that a stream has so many packets of pictures and of sound.
func (s *sink) have(video, audio int) bool {
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	var n [packetbuf.NumTracks]int
	for _, p := range s.packets {
		n[p.Track]++
	}
	return n[packetbuf.Video] >= video && n[packetbuf.Audio] >= audio
}

// TestSession publishes what a real encoder made; DELETE ends it.
func TestSession(t *testing.T) {
	h := newHouse(t, nil)
	c := newCaller(t)
	location := c.publish(t, h)
	s := h.stream("a")
	c.stream(t, func() bool { return s.have(60, 60) })
	if got := h.do(t, http.MethodDelete, location, "").status; got != http.StatusOK {
		t.Errorf("DELETE: %d", got)
	}
	if cause := h.over("a"); cause != ingest.Unpublish {
		t.Errorf("ended by %s, %s", cause, s.detail)
	}
	<-c.closed
	h.until(func() bool { return h.taken == 0 })
	if got := h.do(t, http.MethodDelete, location, "").status; got != http.StatusNotFound {
		t.Errorf("DELETE again: %d", got)
	}

	r := h.requests[0]
	if r.App != "live" || r.Name != "a" || r.Protocol != ingest.WHIP || r.Remote != "192.0.2.1:1000" || r.Session == nil {
		t.Errorf("request %+v", r)
	}
	units := clipOf(t, "h264 slices").units
	var last [packetbuf.NumTracks]*packetbuf.Packet
	at := -1
	for _, p := range s.packets {
		before := last[p.Track]
		switch {
		case before == nil && p.Kind != packetbuf.Config:
			t.Fatalf("%s begins with a %s packet", p.Track, p.Kind)
		case before != nil && p.DTS < before.DTS:
			t.Fatalf("%s goes back from %v to %v", p.Track, before.DTS, p.DTS)
		case before != nil && before.Kind == packetbuf.Config && p.Track == packetbuf.Video && p.Kind != packetbuf.Key:
			t.Fatalf("a %s packet follows the configuration", p.Kind)
		}
		last[p.Track] = p
		if p.Kind == packetbuf.Config {
			continue
		}
		if p.Track == packetbuf.Audio {
			if !bytes.Equal(p.Payload, opusFrame) || p.Codec != packetbuf.Opus {
				t.Fatalf("sound %s %x", p.Codec, p.Payload)
			}
			continue
		}
		if at < 0 {
			at = slices.IndexFunc(units, func(u []byte) bool { return bytes.Equal(u, p.Payload) })
		}
		if at < 0 || !bytes.Equal(p.Payload, units[at%len(units)]) || p.Codec != packetbuf.H264 {
			t.Fatalf("picture %d is not the one that was sent", at)
		}
		at++
	}
}

// TestPublisherLeaves closes the connection without a DELETE.
func TestPublisherLeaves(t *testing.T) {
	h := newHouse(t, nil)
	c := newCaller(t)
	c.publish(t, h)
	s := h.stream("a")
	c.stream(t, func() bool { return s.have(5, 5) })
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if cause := h.over("a"); cause != ingest.EOF && cause != ingest.ICE {
		t.Errorf("ended by %s, %s", cause, s.detail)
	}
	h.until(func() bool { return h.taken == 0 })
	if h.Sessions() != 0 {
		t.Errorf("%d sessions", h.Sessions())
	}
}

// TestTakeover has the stream close the session.
func TestTakeover(t *testing.T) {
	h := newHouse(t, nil)
	c := newCaller(t)
	location := c.publish(t, h)
	s := h.stream("a")
	c.stream(t, func() bool { return s.have(5, 5) })
	s.session.Close(ingest.Takeover, "another took the stream")
	s.session.Close(ingest.Kick, "later")
	if cause := h.over("a"); cause != ingest.Takeover || s.detail != "another took the stream" {
		t.Errorf("ended by %s, %s", cause, s.detail)
	}
	<-c.closed
	h.until(func() bool { return h.taken == 0 })
	if got := h.do(t, http.MethodDelete, location, "").status; got != http.StatusNotFound {
		t.Errorf("DELETE: %d", got)
	}
}

// TestStreamRefusesPackets ends the session with an error of its sink.
func TestStreamRefusesPackets(t *testing.T) {
	h := newHouse(t, nil)
	c := newCaller(t)
	c.publish(t, h)
	s := h.stream("a")
	h.mu.Lock()
	s.failure = context.Canceled
	h.mu.Unlock()
	c.stream(t, func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return s.cause != ""
	})
	if s.cause != ingest.Kick {
		t.Errorf("ended by %s, %s", s.cause, s.detail)
	}
	<-c.closed
}

// TestNeverConnects ends a session whose peer is never there.
func TestNeverConnects(t *testing.T) {
	h := newHouse(t, func(o *Options) { o.Connect = 50 * time.Millisecond })
	h.post(t, "/live/a/whip", offerText(t, "obs"))
	if cause := h.over("a"); cause != ingest.ICE {
		t.Errorf("ended by %s", cause)
	}
	h.until(func() bool { return h.taken == 0 })
	if h.Sessions() != 0 {
		t.Errorf("%d sessions", h.Sessions())
	}
}

// TestRefused has the stream refuse the publisher, and the relay be over.
func TestRefused(t *testing.T) {
	h := newHouse(t, nil)
	h.refusal = &ingest.Refusal{Outcome: ingest.RefusedKey, Reason: "wrong key"}
	headers := []string{"Content-Type", "application/sdp"}
	if w := h.do(t, http.MethodPost, "/live/a/whip?key=x", offerText(t, "obs"), headers...); w.status != http.StatusUnauthorized {
		t.Errorf("%d %s", w.status, w.body.String())
	}
	h.until(func() bool { return h.taken == 0 })
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.refusal = nil
	if w := h.do(t, http.MethodPost, "/live/a/whip", offerText(t, "obs"), headers...); w.status != http.StatusServiceUnavailable || w.header.Get("Retry-After") == "" {
		t.Errorf("%d %s", w.status, w.body.String())
	}
	if h.taken != 0 || h.Sessions() != 0 || len(h.sinks) != 0 {
		t.Errorf("%d taken, %d sessions", h.taken, h.Sessions())
	}
}

// TestRequestKey asks the publisher for keyframes, not more often than twice a second.
func TestRequestKey(t *testing.T) {
	h := newHouse(t, nil)
	c := newCaller(t)
	c.publish(t, h)
	s := h.stream("a")
	c.stream(t, func() bool { return s.have(5, 5) })
	asks := s.session.(ingest.KeyRequester)
	last := func() time.Time { // when the publisher was asked
		ses := s.session.(*session)
		ses.mu.Lock()
		pictures := ses.layers.all[0].track
		ses.mu.Unlock()
		pictures.mu.Lock()
		defer pictures.mu.Unlock()
		return pictures.asked
	}
	before := time.Time{}
	for range 4 {
		c.stream(t, func() bool {
			asks.RequestKey()
			now := last()
			if now.Equal(before) {
				return false
			}
			if gap := now.Sub(before); gap < wishEvery {
				t.Errorf("asked again after %v", gap)
			}
			before = now
			return true
		})
		hears(t, c, func(*rtcp.PictureLossIndication) bool { return true })
	}
}

// TestLimit tells the publisher its ceiling, and that it has none any more.
func TestLimit(t *testing.T) {
	h := newHouse(t, nil)
	c := newCaller(t)
	c.publish(t, h)
	s := h.stream("a")
	c.stream(t, func() bool { return s.have(5, 5) })
	limits := s.session.(ingest.Limiter)
	between := func(least, most float32) func(*rtcp.ReceiverEstimatedMaximumBitrate) bool {
		return func(p *rtcp.ReceiverEstimatedMaximumBitrate) bool { return p.Bitrate >= least && p.Bitrate <= most }
	}
	limits.Limit(300_000)
	if p := hears(t, c, between(290_000, 300_000)); len(p.SSRCs) != 2 {
		t.Errorf("of %v", p.SSRCs)
	}
	limits.Limit(1000)
	hears(t, c, between(leastCeiling*0.9, leastCeiling))
	limits.Limit(0)
	hears(t, c, between(noCeiling*0.9, noCeiling))
}

// TestJunk has a publisher send what cannot be read among its pictures, and reports that lie: all
// that the stream gets is still what was sent, from a keyframe on.
func TestJunk(t *testing.T) {
	h := newHouse(t, nil)
	c := newCaller(t)
	c.publish(t, h)
	s := h.stream("a")
	ssrc := uint32(c.GetSenders()[0].GetParameters().Encodings[0].SSRC)
	for i, payload := range [][]byte{{0}, {24, 0xff, 0xff, 1}, {28}, {29, 0x80}, {31, 1, 2}, bytes.Repeat([]byte{0xff}, 1100), {28, 0x85, 1}} {
		c.stream(t, func() bool { return s.have(30*(i+1), 5) })
		c.junk(t, payload)
		c.junk(t, nil)
		reports := []rtcp.Packet{
			&rtcp.SenderReport{SSRC: ssrc, NTPTime: uint64(i) << 60, RTPTime: uint32(i) << 29}, &rtcp.Goodbye{Sources: []uint32{ssrc + 1}},
			&rtcp.RawPacket{0x81, 206, 0, 1, 1, 2, 3, byte(i)},
		}
		for _, r := range reports {
			_ = c.WriteRTCP([]rtcp.Packet{r}) // some are not sent at all
		}
	}
	c.stream(t, func() bool { return s.have(300, 5) })
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
			t.Fatalf("a picture that was not sent: %.40x", p.Payload)
		}
		if at >= 0 && next != (at+1)%len(units) {
			if breaks++; p.Kind != packetbuf.Key {
				t.Errorf("picture %d follows %d", next, at)
			}
		}
		at = next
	}
	if s.cause != "" || breaks == 0 {
		t.Errorf("%d breaks, ended by %q", breaks, s.cause)
	}
}

// TestRestartOverHTTP restarts ICE of a session; what is malformed changes nothing.
func TestRestartOverHTTP(t *testing.T) {
	h := newHouse(t, nil)
	location, _ := h.post(t, "/live/a/whip", offerText(t, "chromium"))
	patch := func(body string) *recorder {
		return h.do(t, http.MethodPatch, location, body, "Content-Type", "application/trickle-ice-sdpfrag", "If-Match", "*")
	}
	credentials := "a=ice-ufrag:newu\r\na=ice-pwd:" + strings.Repeat("n", 24) + "\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n"
	if w := patch(credentials + "a=candidate:nonsense\r\n"); w.status != http.StatusBadRequest {
		t.Errorf("%d %s", w.status, w.body.String())
	}
	w := patch(credentials + "a=candidate:1 1 udp 2130706431 127.0.0.1 9 typ host\r\n")
	if w.status != http.StatusOK || !strings.Contains(w.body.String(), "a=ice-ufrag:") || !strings.Contains(w.body.String(), "a=candidate:") || w.header.Get("ETag") == "" {
		t.Errorf("%d %s", w.status, w.body.String())
	}
	if w := patch(credentials); w.status != http.StatusBadRequest {
		t.Errorf("with the same credentials: %d %s", w.status, w.body.String())
	}
	if got := h.do(t, http.MethodDelete, location, "").status; got != http.StatusOK {
		t.Errorf("DELETE: %d", got)
	}
	if cause := h.over("a"); cause != ingest.Unpublish {
		t.Errorf("ended by %s", cause)
	}
}

// TestManySessions come and go; what they start ends with them.
func TestManySessions(t *testing.T) {
	h := newHouse(t, nil)
	offers := []string{offerText(t, "chromium"), offerText(t, "obs-simulcast"), offerText(t, "firefox"), offerText(t, "audio")}
	const all = 500
	for i := range all {
		location, _ := h.post(t, "/live/a/whip", offers[i%len(offers)])
		if got := h.do(t, http.MethodDelete, location, "").status; got != http.StatusOK {
			t.Fatalf("DELETE: %d", got)
		}
	}
	h.until(func() bool { return h.ended == all && h.taken == 0 })
	if h.Sessions() != 0 {
		t.Errorf("%d sessions", h.Sessions())
	}
}
