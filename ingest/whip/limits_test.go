package whip

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/ingest/rtcsock"
)

// An offer that would take long to process is refused first.
func TestGiantOffers(t *testing.T) {
	head := "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
	video := func(formats string, lines ...string) string {
		return head + "m=video 9 UDP/TLS/RTP/SAVPF " + formats + "\r\n" + strings.Join(lines, "\r\n") + "\r\n"
	}
	var many, candidates []string
	for i := range 1100 {
		many = append(many, "a=rtpmap:96 H264/90000")
		candidates = append(candidates, fmt.Sprintf("a=candidate:1 1 udp 1 192.0.2.1 %d typ host", 1000+i))
	}
	for name, offer := range map[string]string{
		"a format again and again": video(strings.TrimSpace(strings.Repeat("96 ", 1000)), many[:900]...),
		"a format twice":           video("96 97 96", many[0]),
		"many attributes":          video("96", many...),
		"many candidates":          video("96", append([]string{many[0]}, candidates[:65]...)...),
		"a data channel":           video("96", many[0]) + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n",
	} {
		began := time.Now()
		if o, err := readOffer(offer); !errors.Is(err, rtcsock.ErrOffer) {
			t.Errorf("%s: got %+v, %v, want an error", name, o, err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("%s: %v", name, took)
		}
	}
}

// A retransmitted video packet is used although it arrives hundreds of packets late.
func TestLateRetransmission(t *testing.T) {
	h := newTestServer(t, nil)
	c := newTestPublisher(t)
	c.publish(t, h)
	const held, later = 5, 300
	n := min(held+1+later, len(c.packets))
	for i := range n {
		if i != held {
			c.sendPacket(t, i)
		}
	}
	c.sendPacket(t, held)
	units := 0
	for i := range n {
		if c.packets[i].Marker {
			units++
		}
	}
	s := h.stream("a")
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(10 * time.Second); !s.hasPackets(units, 0); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("got not all access units")
		}
	}
	if lost := h.options.Counters.Lost.Load(); lost != 0 {
		t.Errorf("got %d packets lost", lost)
	}
}

// sendPacket sends one packet of the clip.
func (c *testPublisher) sendPacket(t *testing.T, i int) {
	t.Helper()
	p := *c.packets[i]
	p.SequenceNumber = uint16(i + 1)
	if err := c.video.WriteRTP(&p); err != nil {
		t.Fatal(err)
	}
}

// A peer that sends endless SSRCs is disconnected.
func TestTooManyStreams(t *testing.T) {
	h := newTestServer(t, nil)
	c := newTestPublisher(t)
	c.publish(t, h)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(20 * time.Second); ; {
		r := &rtcp.ReceiverReport{SSRC: rand.Uint32()}
		for range 30 {
			r.Reports = append(r.Reports, rtcp.ReceptionReport{SSRC: rand.Uint32()})
		}
		_ = c.WriteRTCP([]rtcp.Packet{r})
		select {
		case <-c.closed:
			h.waitForEnd("a")
			return
		case <-deadline:
			t.Fatal("got still connected, want closed")
		case <-tick.C:
		}
	}
}

// A panic caused by a publisher's packet ends its session, and nothing else.
func TestPanicOverAPacketEndsTheSession(t *testing.T) {
	h := newTestServer(t, nil)
	c := newTestPublisher(t)
	c.publish(t, h)
	s := h.stream("a")
	h.mu.Lock()
	s.panics = true
	h.mu.Unlock()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		c.sendPacket(t, i%len(c.packets))
		select {
		case <-c.closed:
			if cause := h.waitForEnd("a"); cause != ingest.Protocol {
				t.Errorf("end of session: got %q, want %q", cause, ingest.Protocol)
			}
			return
		case <-tick.C:
		}
	}
}
