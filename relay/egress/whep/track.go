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

// track is one track of one viewer: its own numbers over payloads that all viewers share. It
// implements webrtc.TrackLocal.
type track struct {
	kind   webrtc.RTPCodecType
	takes  packetbuf.Codec
	codec  webrtc.RTPCodecParameters
	rate   int64
	base   uint32 // timestamp at the stream's 0
	writer atomic.Pointer[bound]

	// One goroutine writes; another repeats what is in the history.
	history history
	pack    func(*packetbuf.Packet) []byte // see packing
	begun   bool
	last    int64 // timestamp of the last packet, in units of the rate from the stream's 0 on
	at      time.Duration
	reports struct {
		packets, octets uint32
	}
}

// bound is what a track writes to once the peer is there.
type bound struct {
	out  webrtc.TrackLocalWriter
	ssrc uint32
	pt   uint8
	// What is written goes through an interface, so a header would be garbage for each packet:
	// there is one for each goroutine that writes.
	sending, repeating rtp.Header
}

func newTrack(kind webrtc.RTPCodecType, c webrtc.RTPCodecParameters) *track {
	t := &track{kind: kind, codec: c, rate: int64(c.ClockRate), base: rand.Uint32(), pack: packing(nil)} //nolint:gosec // no secret
	for one, name := range names {
		if strings.EqualFold(c.MimeType, kind.String()+"/"+name) {
			t.takes = one
		}
	}
	kept := keptVideo
	if kind == webrtc.RTPCodecTypeAudio {
		kept = keptAudio
	}
	t.history = newHistory(time.Now(), kept, uint16(rand.Uint32())) //nolint:gosec // no secret
	return t
}

var errCodec = errors.New("the viewer does not take the codec after all")

// Bind implements webrtc.TrackLocal.
func (t *track) Bind(c webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	for _, one := range c.CodecParameters() {
		if one.PayloadType == t.codec.PayloadType {
			t.writer.Store(&bound{out: c.WriteStream(), ssrc: uint32(c.SSRC()), pt: uint8(one.PayloadType)})
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

// units is a time on the stream's clock in units of the rate.
func (t *track) units(at time.Duration) int64 { return int64(at/time.Millisecond) * t.rate / 1000 }

// timestamp is how a viewer is told of a time in units of the rate.
func (t *track) timestamp(units int64) uint32 { return t.base + uint32(units) } //nolint:gosec // modulo 2^32

// step is by how much a timestamp rises at least: pictures that are sent once more, from a
// keyframe on, follow each other quickly up to where the viewer is.
const step = 40

// configure notes the configuration of what follows.
func (t *track) configure(config *packetbuf.Packet) { t.pack = packing(config) }

// send sends a packet and returns how many bytes of payload it has. Timestamps rise whatever is
// sent: pictures may come once more, while sound that was heard is not to be heard again.
func (t *track) send(p *packetbuf.Packet) int {
	to := t.writer.Load()
	if to == nil {
		return 0
	}
	all := p.Serialized(packetbuf.RTPPayloads, t.pack)
	if len(all) == 0 {
		return 0
	}
	at := p.PTS()
	units := t.units(at)
	if t.begun && units <= t.last {
		if t.kind == webrtc.RTPCodecTypeAudio {
			return 0
		}
		units = t.last + step
	} else {
		t.at = at
	}
	t.begun, t.last = true, units
	ts := t.timestamp(units)
	sum := 0
	for len(all) > 0 {
		var payload []byte
		payload, all = next(all)
		marker := len(all) == 0 && t.kind == webrtc.RTPCodecTypeVideo
		seq := t.history.add(payload, ts, marker)
		to.write(&to.sending, payload, ts, seq, marker)
		t.reports.packets++
		t.reports.octets += uint32(len(payload)) //nolint:gosec // modulo 2^32
		sum += len(payload)
	}
	return sum
}

// write writes one packet. An error is the peer's end, of which its state tells.
func (b *bound) write(h *rtp.Header, payload []byte, ts uint32, seq uint16, marker bool) {
	*h = rtp.Header{Version: 2, Marker: marker, PayloadType: b.pt, SequenceNumber: seq, Timestamp: ts, SSRC: b.ssrc}
	_, _ = b.out.WriteRTP(h, payload)
}

// repeat sends again what a viewer misses.
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

// report is the sender report of the track (RFC 3550, 6.4.1), which tells a viewer how its
// tracks belong together: epoch is the wall time at the stream's 0. nil before there is
// anything to report.
func (t *track) report(epoch time.Time) rtcp.Packet {
	to := t.writer.Load()
	if to == nil || !t.begun {
		return nil
	}
	return &rtcp.SenderReport{
		SSRC: to.ssrc, NTPTime: ntp(epoch.Add(t.at)), RTPTime: t.timestamp(t.units(t.at)),
		PacketCount: t.reports.packets, OctetCount: t.reports.octets,
	}
}

// ntp is a time as RTCP has it: seconds since 1900, with a fraction of 32 bits.
func ntp(t time.Time) uint64 {
	const since1970 = 2208988800
	seconds := uint64(t.Unix() + since1970)                        //nolint:gosec // after 1900
	fraction := uint64(t.Nanosecond()) << 32 / uint64(time.Second) //nolint:gosec // below a second
	return seconds<<32 | fraction
}
