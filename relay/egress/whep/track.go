package whep

import (
	"errors"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// track is one track of one viewer, with its own RTP sequence numbers and timestamps. The payloads
// are shared by all viewers. track implements webrtc.TrackLocal.
type track struct {
	kind    webrtc.RTPCodecType
	accepts packetbuf.Codec
	codec   webrtc.RTPCodecParameters
	rate    int64
	base    uint32 // RTP timestamp at time 0 of the stream's clock
	writer  atomic.Pointer[trackWriter]

	// The fields below are used by the goroutine that sends. Another goroutine also uses history,
	// to repeat packets.
	history       history
	payloader     func(*packetbuf.Packet) []byte // see payloader
	started       bool
	lastTimestamp int64 // timestamp of the last frame, in units of the rate since time 0 of the stream's clock
	lastTime      time.Duration
	reports       struct {
		packets, octets uint32
	}
}

// trackWriter writes the packets of a track once the peer is connected.
type trackWriter struct {
	out  webrtc.TrackLocalWriter
	ssrc uint32
	pt   uint8
	// The headers escape through the interface of out. Each of the two goroutines that write reuses
	// its own header.
	sending, repeating rtp.Header
}

func newTrack(kind webrtc.RTPCodecType, c webrtc.RTPCodecParameters) *track {
	t := &track{kind: kind, codec: c, rate: int64(c.ClockRate), base: rand.Uint32(), payloader: payloader(nil)} //nolint:gosec // no secret
	for one, name := range sdpNames {
		if strings.EqualFold(c.MimeType, kind.String()+"/"+name) {
			t.accepts = one
		}
	}
	kept := videoHistory
	if kind == webrtc.RTPCodecTypeAudio {
		kept = audioHistory
	}
	t.history = newHistory(time.Now(), kept, uint16(rand.Uint32())) //nolint:gosec // no secret
	return t
}

var errCodec = errors.New("codec not accepted by the viewer")

// Bind implements webrtc.TrackLocal.
func (t *track) Bind(c webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	for _, one := range c.CodecParameters() {
		if one.PayloadType == t.codec.PayloadType {
			t.writer.Store(&trackWriter{out: c.WriteStream(), ssrc: uint32(c.SSRC()), pt: uint8(one.PayloadType)})
			return one, nil
		}
	}
	return webrtc.RTPCodecParameters{}, errCodec
}

// Unbind implements webrtc.TrackLocal.
func (t *track) Unbind(webrtc.TrackLocalContext) error {
	t.writer.Store(nil)
	return nil
}

// ID implements webrtc.TrackLocal.
func (t *track) ID() string { return t.kind.String() }

// RID implements webrtc.TrackLocal.
func (t *track) RID() string { return "" }

// StreamID implements webrtc.TrackLocal.
func (t *track) StreamID() string { return "holdfast" }

// Kind implements webrtc.TrackLocal.
func (t *track) Kind() webrtc.RTPCodecType { return t.kind }

// units converts a time on the stream's clock to units of the clock rate.
func (t *track) units(at time.Duration) int64 { return int64(at/time.Millisecond) * t.rate / 1000 }

// timestamp returns the RTP timestamp of a time that is given in units of the clock rate.
func (t *track) timestamp(units int64) uint32 { return t.base + uint32(units) } //nolint:gosec // modulo 2^32

// minStep is the minimum increase of video timestamps. When frames are repeated from a keyframe on,
// their timestamps increase by this much until the viewer's previous position is reached.
const minStep = 40

// configure sets the configuration of the packets that follow.
func (t *track) configure(config *packetbuf.Packet) { t.payloader = payloader(config) }

// send sends a packet and returns the size of its payloads in bytes. Timestamps always increase.
// Video may be repeated with new timestamps; audio is never sent twice.
func (t *track) send(p *packetbuf.Packet) int {
	to := t.writer.Load()
	if to == nil {
		return 0
	}
	all := p.Serialized(packetbuf.RTPPayloads, t.payloader)
	if len(all) == 0 {
		return 0
	}
	at := p.PTS()
	units := t.units(at)
	if t.started && units <= t.lastTimestamp {
		if t.kind == webrtc.RTPCodecTypeAudio {
			return 0
		}
		units = t.lastTimestamp + minStep
	} else {
		t.lastTime = at
	}
	t.started, t.lastTimestamp = true, units
	ts := t.timestamp(units)
	sum := 0
	for len(all) > 0 {
		var payload []byte
		payload, all = nextPayload(all)
		marker := len(all) == 0 && t.kind == webrtc.RTPCodecTypeVideo
		seq := t.history.add(payload, ts, marker)
		to.write(&to.sending, payload, ts, seq, marker)
		t.reports.packets++
		t.reports.octets += uint32(len(payload)) //nolint:gosec // modulo 2^32
		sum += len(payload)
	}
	return sum
}

// write writes one packet. It ignores errors, because the peer's connection state shows when the
// peer is gone.
func (b *trackWriter) write(h *rtp.Header, payload []byte, ts uint32, seq uint16, marker bool) {
	*h = rtp.Header{Version: 2, Marker: marker, PayloadType: b.pt, SequenceNumber: seq, Timestamp: ts, SSRC: b.ssrc}
	_, _ = b.out.WriteRTP(h, payload)
}

// repeat resends the packets that the viewer reports as missing. It returns the number of packets
// that it has sent.
func (t *track) repeat(now time.Time, n *rtcp.TransportLayerNack) (packets int) {
	to := t.writer.Load()
	if to == nil {
		return 0
	}
	for i := range n.Nacks {
		n.Nacks[i].Range(func(seq uint16) bool {
			if p, ok := t.history.repeat(now, seq); ok {
				to.write(&to.repeating, p.payload, p.ts, p.seq, p.marker)
				packets++
			}
			return true
		})
	}
	return packets
}

// report returns the sender report of the track (RFC 3550, 6.4.1), by which a viewer synchronizes
// its tracks. epoch is the wall time at time 0 of the stream's clock. It returns nil if no media
// has been sent yet.
func (t *track) report(epoch time.Time) rtcp.Packet {
	to := t.writer.Load()
	if to == nil || !t.started {
		return nil
	}
	return &rtcp.SenderReport{
		SSRC: to.ssrc, NTPTime: ntp(epoch.Add(t.lastTime)), RTPTime: t.timestamp(t.units(t.lastTime)),
		PacketCount: t.reports.packets, OctetCount: t.reports.octets,
	}
}

// ntp returns a time in NTP format: seconds since 1900, with a fraction of 32 bits.
func ntp(t time.Time) uint64 {
	const since1970 = 2208988800
	seconds := uint64(t.Unix() + since1970)                        //nolint:gosec // after 1900
	fraction := uint64(t.Nanosecond()) << 32 / uint64(time.Second) //nolint:gosec // below a second
	return seconds<<32 | fraction
}
