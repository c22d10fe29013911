package whep

import (
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// recorder records the packets that a track writes.
type recorder struct {
	of      webrtc.RTPCodecParameters
	packets []rtp.Packet
}

func (l *recorder) WriteRTP(h *rtp.Header, payload []byte) (int, error) {
	l.packets = append(l.packets, rtp.Packet{Header: *h, Payload: payload})
	return len(payload), nil
}
func (l *recorder) Write(b []byte) (int, error) { return len(b), nil }
func (l *recorder) CodecParameters() []webrtc.RTPCodecParameters {
	return []webrtc.RTPCodecParameters{l.of}
}
func (l *recorder) HeaderExtensions() []webrtc.RTPHeaderExtensionParameter { return nil }
func (l *recorder) SSRC() webrtc.SSRC                                      { return 1234 }
func (l *recorder) SSRCRetransmission() webrtc.SSRC                        { return 0 }
func (l *recorder) SSRCForwardErrorCorrection() webrtc.SSRC                { return 0 }
func (l *recorder) WriteStream() webrtc.TrackLocalWriter                   { return l }
func (l *recorder) ID() string                                             { return "line" }
func (l *recorder) RTCPReader() interceptor.RTCPReader                     { return nil }

var (
	h264Params = webrtc.RTPCodecParameters{PayloadType: 102, RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: "video/h264", ClockRate: 90000}}
	opusParams = webrtc.RTPCodecParameters{PayloadType: 111, RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: "audio/opus", ClockRate: 48000, Channels: 2}}
)

// bind returns a track that writes to a line.
func bind(t testing.TB, kind webrtc.RTPCodecType, c webrtc.RTPCodecParameters) (*track, *recorder) {
	t.Helper()
	tr, l := newTrack(kind, c), &recorder{of: c}
	if _, err := tr.Bind(l); err != nil {
		t.Fatal(err)
	}
	return tr, l
}

func picture(at time.Duration, bytes int) *packetbuf.Packet {
	return &packetbuf.Packet{Track: packetbuf.Video, Codec: packetbuf.H264, Kind: packetbuf.Delta, DTS: at, Payload: avc(4, unit(slice, bytes))}
}

func sound(at time.Duration) *packetbuf.Packet {
	return &packetbuf.Packet{Track: packetbuf.Audio, Codec: packetbuf.Opus, Kind: packetbuf.Delta, DTS: at, Payload: unit(0xfc, 200)}
}

func TestTrackTakes(t *testing.T) {
	for mime, want := range map[string]packetbuf.Codec{
		"video/H264": packetbuf.H264, "video/h265": packetbuf.HEVC, "video/av1": packetbuf.AV1, "video/rtx": packetbuf.NoCodec, "video/opus": packetbuf.Opus,
	} {
		if got := newTrack(webrtc.RTPCodecTypeVideo, webrtc.RTPCodecParameters{RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: mime}}).accepts; got != want {
			t.Errorf("%s: got %v", mime, got)
		}
	}
	other := newTrack(webrtc.RTPCodecTypeVideo, h264Params)
	if _, err := other.Bind(&recorder{of: opusParams}); err == nil {
		t.Error("bound to a codec that was not negotiated")
	}
	if n := other.send(picture(0, 10)); n != 0 {
		t.Error("sent a packet without a peer")
	}
}

// Sequence numbers are consecutive, the last packet of a frame has the marker, and all packets
// of a frame have one timestamp.
func TestTrackNumbers(t *testing.T) {
	v, l := bind(t, webrtc.RTPCodecTypeVideo, h264Params)
	a, la := bind(t, webrtc.RTPCodecTypeAudio, opusParams)
	for i := range 50 {
		v.send(picture(time.Duration(i)*40*time.Millisecond, 100+i*97))
		a.send(sound(time.Duration(i) * 20 * time.Millisecond))
	}
	for i, p := range l.packets {
		if p.SSRC != 1234 || p.PayloadType != 102 || p.Version != 2 {
			t.Fatalf("packet %d: got %+v", i, p.Header)
		}
		if i == 0 {
			continue
		}
		was := l.packets[i-1]
		want := was.Timestamp
		if was.Marker {
			want += 3600
		}
		if p.SequenceNumber != was.SequenceNumber+1 || p.Timestamp != want {
			t.Fatalf("packet %d: got %+v after %+v", i, p.Header, was.Header)
		}
	}
	for i, p := range la.packets {
		if p.Marker || i > 0 && p.Timestamp != la.packets[i-1].Timestamp+960 {
			t.Fatalf("audio %d: got %+v", i, p.Header)
		}
	}
}

// checkTimestamps fails unless the timestamp of each new frame increases, by less than 2^31.
func checkTimestamps(t *testing.T, packets []rtp.Packet) {
	t.Helper()
	for i := 1; i < len(packets); i++ {
		was, is := packets[i-1], packets[i]
		if by := int32(is.Timestamp - was.Timestamp); was.Marker && by <= 0 || !was.Marker && by != 0 {
			t.Fatalf("packet %d: from %d to %d", i, was.Timestamp, is.Timestamp)
		}
	}
}

// Timestamps increase across 2^32, and when video is repeated. From the viewer's position on
// they are again what they would have been.
func TestTimestampsRise(t *testing.T) {
	v, l := bind(t, webrtc.RTPCodecTypeVideo, h264Params)
	v.base = 1<<32 - 90000
	const each = 40 * time.Millisecond
	for i := range 100 { // crosses 2^32 at the 25th
		v.send(picture(time.Duration(i)*each, 500))
	}
	for i := 60; i < 150; i++ {
		v.send(picture(time.Duration(i)*each, 500))
	}
	checkTimestamps(t, l.packets)
	if got, want := l.packets[len(l.packets)-1].Timestamp, v.timestamp(v.units(149*each)); got != want {
		t.Errorf("got last timestamp %d, want %d", got, want)
	}
	if got := l.packets[len(l.packets)-1].Timestamp; got != 149*3600-90000 {
		t.Errorf("got last timestamp %d", got)
	}
}

// Rounding does not accumulate over days.
func TestTimestampsAfterDays(t *testing.T) {
	v, _ := bind(t, webrtc.RTPCodecTypeVideo, h264Params)
	for _, at := range []time.Duration{0, 33 * time.Millisecond, 40 * 24 * time.Hour, 400*24*time.Hour + 17*time.Millisecond} {
		if got, want := v.timestamp(v.units(at))-v.base, uint32(uint64(at/time.Millisecond)*90); got != want {
			t.Errorf("%v: got timestamp %d, want %d", at, got, want)
		}
	}
}

// After any silence, the timestamps of a track are correct.
func TestTimestampsAfterSilence(t *testing.T) {
	a, l := bind(t, webrtc.RTPCodecTypeAudio, opusParams)
	for i, at := range []time.Duration{time.Second, 20 * time.Hour, 20*time.Hour + 20*time.Millisecond} {
		if a.send(sound(at)) == 0 {
			t.Fatalf("audio at %v was not sent", at)
		}
		if got, want := l.packets[i].Timestamp-a.base, uint32(uint64(at/time.Millisecond)*48); got != want {
			t.Errorf("%v: got timestamp %d, want %d", at, got, want)
		}
	}
}

// Audio is not repeated when video is.
func TestAudioIsNotRepeated(t *testing.T) {
	a, l := bind(t, webrtc.RTPCodecTypeAudio, opusParams)
	for _, i := range []int{0, 1, 2, 3, 4, 2, 3, 4, 5, 6} {
		a.send(sound(time.Duration(i) * 20 * time.Millisecond))
	}
	if len(l.packets) != 7 {
		t.Errorf("got %d packets", len(l.packets))
	}
	for i, p := range l.packets {
		if p.Timestamp != l.packets[0].Timestamp+uint32(i)*960 {
			t.Errorf("packet %d: got %v", i, p.Header)
		}
	}
}

// The sender reports of both tracks map one stream time to one wall time.
func TestReports(t *testing.T) {
	v, _ := bind(t, webrtc.RTPCodecTypeVideo, h264Params)
	a, _ := bind(t, webrtc.RTPCodecTypeAudio, opusParams)
	epoch := time.Date(2026, 3, 1, 12, 0, 0, 123_000_000, time.UTC)
	if v.report(epoch) != nil {
		t.Error("got a report before any packet")
	}
	octets, packets := 0, 0
	for i := range 100 {
		octets += v.send(picture(time.Duration(i)*33*time.Millisecond, 900))
		packets++
		if i%3 == 2 {
			a.send(sound(time.Duration(i) * 33 * time.Millisecond / 20 / time.Millisecond * 20 * time.Millisecond))
		}
		if i == 60 { // video is repeated
			for j := 30; j <= 60; j++ {
				octets += v.send(picture(time.Duration(j)*33*time.Millisecond, 900))
				packets++
			}
		}
		if i < 3 {
			continue
		}
		rv, ra := v.report(epoch).(*rtcp.SenderReport), a.report(epoch).(*rtcp.SenderReport)
		if one, other := zero(rv, v), zero(ra, a); one.Sub(other).Abs() > time.Microsecond || one.Sub(epoch).Abs() > time.Microsecond {
			t.Fatalf("%d: got the stream's 0 at %v for video, %v for audio, want %v", i, one, other, epoch)
		}
		if int(rv.PacketCount) != packets || int(rv.OctetCount) != octets || rv.SSRC != 1234 {
			t.Fatalf("%d: got %v, want %d packets of %d bytes", i, rv, packets, octets)
		}
	}
}

// zero returns the wall time at the stream's 0, as a receiver computes it.
func zero(r *rtcp.SenderReport, t *track) time.Time {
	wall := time.Unix(int64(r.NTPTime>>32)-2208988800, int64((r.NTPTime&0xffffffff)*1e9>>32))
	since := time.Duration(r.RTPTime-t.base) * time.Second / time.Duration(t.rate)
	return wall.Add(-since)
}

// A repeated packet equals the one that was sent.
func TestTrackRepeats(t *testing.T) {
	v, l := bind(t, webrtc.RTPCodecTypeVideo, h264Params)
	v.send(picture(0, 5000))
	want := l.packets[2]
	n := v.repeat(time.Now(), &rtcp.TransportLayerNack{Nacks: []rtcp.NackPair{{PacketID: want.SequenceNumber, LostPackets: 1}}})
	if n != 2 || len(l.packets) != 7 || l.packets[5].String() != want.String() || &l.packets[5].Payload[0] != &want.Payload[0] {
		t.Errorf("%d: got %v, want %v", n, l.packets[5].Header, want.Header)
	}
	_ = v.Unbind(nil)
	if v.repeat(time.Now(), &rtcp.TransportLayerNack{Nacks: []rtcp.NackPair{{PacketID: want.SequenceNumber}}}) != 0 {
		t.Error("repeated a packet without a peer")
	}
}
