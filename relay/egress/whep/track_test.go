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

// line is what a track writes to.
type line struct {
	of      webrtc.RTPCodecParameters
	packets []rtp.Packet
}

func (l *line) WriteRTP(h *rtp.Header, payload []byte) (int, error) {
	l.packets = append(l.packets, rtp.Packet{Header: *h, Payload: payload})
	return len(payload), nil
}
func (l *line) Write(b []byte) (int, error) { return len(b), nil }
func (l *line) CodecParameters() []webrtc.RTPCodecParameters {
	return []webrtc.RTPCodecParameters{l.of}
}
func (l *line) HeaderExtensions() []webrtc.RTPHeaderExtensionParameter { return nil }
func (l *line) SSRC() webrtc.SSRC                                      { return 1234 }
func (l *line) SSRCRetransmission() webrtc.SSRC                        { return 0 }
func (l *line) SSRCForwardErrorCorrection() webrtc.SSRC                { return 0 }
func (l *line) WriteStream() webrtc.TrackLocalWriter                   { return l }
func (l *line) ID() string                                             { return "line" }
func (l *line) RTCPReader() interceptor.RTCPReader                     { return nil }

var (
	h264Params = webrtc.RTPCodecParameters{PayloadType: 102, RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: "video/h264", ClockRate: 90000}}
	opusParams = webrtc.RTPCodecParameters{PayloadType: 111, RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: "audio/opus", ClockRate: 48000, Channels: 2}}
)

// bind makes a track that writes to a line.
func bind(t testing.TB, kind webrtc.RTPCodecType, c webrtc.RTPCodecParameters) (*track, *line) {
	t.Helper()
	tr, l := newTrack(kind, c), &line{of: c}
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
			t.Errorf("%s: %v", mime, got)
		}
	}
	other := newTrack(webrtc.RTPCodecTypeVideo, h264Params)
	if _, err := other.Bind(&line{of: opusParams}); err == nil {
		t.Error("bound to a codec that was not agreed on")
	}
	if n := other.send(picture(0, 10)); n != 0 {
		t.Error("sent without a peer")
	}
}

// Packets are numbered one after another, the last of a picture is marked, and all of a picture
// have one timestamp.
func TestTrackNumbers(t *testing.T) {
	v, l := bind(t, webrtc.RTPCodecTypeVideo, h264Params)
	a, la := bind(t, webrtc.RTPCodecTypeAudio, opusParams)
	for i := range 50 {
		v.send(picture(time.Duration(i)*40*time.Millisecond, 100+i*97))
		a.send(sound(time.Duration(i) * 20 * time.Millisecond))
	}
	for i, p := range l.packets {
		if p.SSRC != 1234 || p.PayloadType != 102 || p.Version != 2 {
			t.Fatalf("packet %d: %+v", i, p.Header)
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
			t.Fatalf("packet %d: %+v behind %+v", i, p.Header, was.Header)
		}
	}
	for i, p := range la.packets {
		if p.Marker || i > 0 && p.Timestamp != la.packets[i-1].Timestamp+960 {
			t.Fatalf("sound %d: %+v", i, p.Header)
		}
	}
}

// risen fails where a timestamp of a new picture does not rise by less than 2^31.
func risen(t *testing.T, packets []rtp.Packet) {
	t.Helper()
	for i := 1; i < len(packets); i++ {
		was, is := packets[i-1], packets[i]
		if by := int32(is.Timestamp - was.Timestamp); was.Marker && by <= 0 || !was.Marker && by != 0 {
			t.Fatalf("packet %d: from %d to %d", i, was.Timestamp, is.Timestamp)
		}
	}
}

// Timestamps rise over 2^32, and where pictures come once more; from where the viewer was, they
// are again what they would have been.
func TestTimestampsRise(t *testing.T) {
	v, l := bind(t, webrtc.RTPCodecTypeVideo, h264Params)
	v.base = 1<<32 - 90000
	const each = 40 * time.Millisecond
	for i := range 100 { // over 2^32 at the 25th
		v.send(picture(time.Duration(i)*each, 500))
	}
	for i := 60; i < 150; i++ {
		v.send(picture(time.Duration(i)*each, 500))
	}
	risen(t, l.packets)
	if got, want := l.packets[len(l.packets)-1].Timestamp, v.timestamp(v.units(149*each)); got != want {
		t.Errorf("the last is %d, not %d", got, want)
	}
	if got := l.packets[len(l.packets)-1].Timestamp; got != 149*3600-90000 {
		t.Errorf("the last is %d", got)
	}
}

// After days the clock of a stream is still one: no rounding adds up.
func TestTimestampsAfterDays(t *testing.T) {
	v, _ := bind(t, webrtc.RTPCodecTypeVideo, h264Params)
	for _, at := range []time.Duration{0, 33 * time.Millisecond, 40 * 24 * time.Hour, 400*24*time.Hour + 17*time.Millisecond} {
		if got, want := v.timestamp(v.units(at))-v.base, uint32(uint64(at/time.Millisecond)*90); got != want {
			t.Errorf("%v: %d, not %d", at, got, want)
		}
	}
}

// However long nothing comes of a track, what comes then stands where it belongs.
func TestTimestampsAfterSilence(t *testing.T) {
	a, l := bind(t, webrtc.RTPCodecTypeAudio, opusParams)
	for i, at := range []time.Duration{time.Second, 20 * time.Hour, 20*time.Hour + 20*time.Millisecond} {
		if a.send(sound(at)) == 0 {
			t.Fatalf("the sound of %v is not sent", at)
		}
		if got, want := l.packets[i].Timestamp-a.base, uint32(uint64(at/time.Millisecond)*48); got != want {
			t.Errorf("%v: %d, not %d", at, got, want)
		}
	}
}

// Sound that a viewer has heard does not come again when pictures do.
func TestSoundOnlyOnce(t *testing.T) {
	a, l := bind(t, webrtc.RTPCodecTypeAudio, opusParams)
	for _, i := range []int{0, 1, 2, 3, 4, 2, 3, 4, 5, 6} {
		a.send(sound(time.Duration(i) * 20 * time.Millisecond))
	}
	if len(l.packets) != 7 {
		t.Errorf("%d packets", len(l.packets))
	}
	for i, p := range l.packets {
		if p.Timestamp != l.packets[0].Timestamp+uint32(i)*960 {
			t.Errorf("packet %d: %v", i, p.Header)
		}
	}
}

// The reports of both tracks put one time of the stream at one time of the clock.
func TestReports(t *testing.T) {
	v, _ := bind(t, webrtc.RTPCodecTypeVideo, h264Params)
	a, _ := bind(t, webrtc.RTPCodecTypeAudio, opusParams)
	epoch := time.Date(2026, 3, 1, 12, 0, 0, 123_000_000, time.UTC)
	if v.report(epoch) != nil {
		t.Error("a report of nothing")
	}
	octets, packets := 0, 0
	for i := range 100 {
		octets += v.send(picture(time.Duration(i)*33*time.Millisecond, 900))
		packets++
		if i%3 == 2 {
			a.send(sound(time.Duration(i) * 33 * time.Millisecond / 20 / time.Millisecond * 20 * time.Millisecond))
		}
		if i == 60 { // pictures come once more
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
			t.Fatalf("%d: the stream's 0 is at %v for pictures, at %v for sound, not at %v", i, one, other, epoch)
		}
		if int(rv.PacketCount) != packets || int(rv.OctetCount) != octets || rv.SSRC != 1234 {
			t.Fatalf("%d: %v, not %d packets of %d bytes", i, rv, packets, octets)
		}
	}
}

// zero is the time of the clock at the stream's 0, as a receiver reckons it.
func zero(r *rtcp.SenderReport, t *track) time.Time {
	wall := time.Unix(int64(r.NTPTime>>32)-2208988800, int64((r.NTPTime&0xffffffff)*1e9>>32))
	since := time.Duration(r.RTPTime-t.base) * time.Second / time.Duration(t.rate)
	return wall.Add(-since)
}

// What is asked for again is the same packet.
func TestTrackRepeats(t *testing.T) {
	v, l := bind(t, webrtc.RTPCodecTypeVideo, h264Params)
	v.send(picture(0, 5000))
	want := l.packets[2]
	n := v.repeat(time.Now(), &rtcp.TransportLayerNack{Nacks: []rtcp.NackPair{{PacketID: want.SequenceNumber, LostPackets: 1}}})
	if n != 2 || len(l.packets) != 7 || l.packets[5].String() != want.String() || &l.packets[5].Payload[0] != &want.Payload[0] {
		t.Errorf("%d: %v is not %v", n, l.packets[5].Header, want.Header)
	}
	_ = v.Unbind(nil)
	if v.repeat(time.Now(), &rtcp.TransportLayerNack{Nacks: []rtcp.NackPair{{PacketID: want.SequenceNumber}}}) != 0 {
		t.Error("repeated without a peer")
	}
}
