package whep

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/holdfast-live/holdfast/ingest/rtcsock"
	"github.com/holdfast-live/holdfast/ingest/rtcsock/signal"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

// offerText returns a viewer's offer with the line ends of SDP.
func offerText(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "offers", name+".sdp"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(strings.ReplaceAll(string(b), "\r\n", "\n"), "\n", "\r\n")
}

// avcConfig returns a configuration with a profile.
func avcConfig(profile, compatibility byte) *packetbuf.Packet {
	record := codec.AVCConfig{
		Profile: profile, Compatibility: compatibility, Level: 31, LengthSize: 4,
		SPS: [][]byte{{0x67, profile, compatibility, 31, 0xda}}, PPS: [][]byte{{0x68, 0xce}},
	}
	return &packetbuf.Packet{Codec: packetbuf.H264, Kind: packetbuf.Config, Payload: record.Append(nil)}
}

func TestChoose(t *testing.T) {
	tests := []struct {
		offer                             string
		plain, baseline, main, high, opus webrtc.PayloadType // of H.264: without a configuration, and by profile
		hevc, vp8, vp9, av1               webrtc.PayloadType
	}{
		{offer: "chromium", plain: 102, baseline: 108, main: 116, high: 108, opus: 111, hevc: 0, vp8: 96, vp9: 98, av1: 45},
		{offer: "firefox", plain: 126, baseline: 126, main: 126, high: 126, opus: 109, vp8: 120, vp9: 121},
		{offer: "safari", plain: 96, baseline: 98, main: 98, high: 96, opus: 111, hevc: 100, vp8: 127, vp9: 104},
		{offer: "gstreamer", plain: 96, baseline: 96, main: 96, high: 96, opus: 98},
	}
	for _, tt := range tests {
		w, err := readOffer(offerText(t, tt.offer))
		if err != nil {
			t.Fatalf("%s: %v", tt.offer, err)
		}
		check := func(name string, list []webrtc.RTPCodecParameters, c packetbuf.Codec, config *packetbuf.Packet, want webrtc.PayloadType) {
			got, ok := choose(list, c, config)
			if ok != (want != 0) || got.PayloadType != want {
				t.Errorf("%s, %s: got %d %q", tt.offer, name, got.PayloadType, got.SDPFmtpLine)
			}
		}
		check("H.264", w.video, packetbuf.H264, nil, tt.plain)
		check("constrained baseline", w.video, packetbuf.H264, avcConfig(66, 0xe0), tt.baseline)
		check("main", w.video, packetbuf.H264, avcConfig(77, 0), tt.main)
		check("high", w.video, packetbuf.H264, avcConfig(100, 0), tt.high)
		check("HEVC", w.video, packetbuf.HEVC, nil, tt.hevc)
		check("VP8", w.video, packetbuf.VP8, nil, tt.vp8)
		check("VP9", w.video, packetbuf.VP9, nil, tt.vp9)
		check("AV1", w.video, packetbuf.AV1, nil, tt.av1)
		check("Opus", w.audio, packetbuf.Opus, nil, tt.opus)
		check("AAC", w.audio, packetbuf.AAC, nil, 0)
		check("sound among pictures", w.video, packetbuf.Opus, nil, 0)
	}
}

// The other codecs have profiles, too.
func TestChooseProfile(t *testing.T) {
	w, err := readOffer(offerText(t, "chromium"))
	if err != nil {
		t.Fatal(err)
	}
	apple, err := readOffer(offerText(t, "safari"))
	if err != nil {
		t.Fatal(err)
	}
	config := func(c packetbuf.Codec, b ...byte) *packetbuf.Packet { return &packetbuf.Packet{Codec: c, Payload: b} }
	vp9 := func(profile int) *packetbuf.Packet {
		return config(packetbuf.VP9, codec.VPConfig{Profile: profile, BitDepth: 8}.Append(nil)...)
	}
	boxed := config(packetbuf.VP9, append([]byte{1, 0, 0, 0}, vp9(2).Payload...)...)
	mainHEVC := config(packetbuf.HEVC, append([]byte{1, 1}, make([]byte, 21)...)...)
	for i, tt := range []struct {
		w      offeredCodecs
		config *packetbuf.Packet
		want   webrtc.PayloadType
	}{
		{w, vp9(0), 98},
		{w, vp9(1), 35},
		{w, vp9(2), 100},
		{w, boxed, 100},
		{w, config(packetbuf.VP9), 98},
		{apple, vp9(2), 104},
		{w, config(packetbuf.AV1, 0x81, 0<<5, 0, 0), 45},
		{w, config(packetbuf.AV1, 0x81, 1<<5, 0, 0), 47},
		{w, config(packetbuf.AV1, 1), 45},
		{apple, mainHEVC, 100},
		{apple, config(packetbuf.HEVC, 9), 100},
	} {
		if got, ok := choose(tt.w.video, tt.config.Codec, tt.config); !ok || got.PayloadType != tt.want {
			t.Errorf("%d: %s % x: got %d %q", i, tt.config.Codec, tt.config.Payload, got.PayloadType, got.SDPFmtpLine)
		}
	}
	for fmtp, want := range map[string]string{
		"": "", "a=1": "", "profile-id=2": "2", "x=1; Profile-ID=3 ;y": "3", "profile-id": "", "profile-idx=4": "",
	} {
		if got := parameter(fmtp, "profile-id"); got != want {
			t.Errorf("%q: %q", fmtp, got)
		}
	}
}

// Media that a viewer sends, or does not want, is not media that it receives.
func TestReadOffer(t *testing.T) {
	both := offerText(t, "chromium")
	for name, tt := range map[string]struct {
		offer        string
		video, audio bool
	}{
		"both":      {both, true, true},
		"sendrecv":  {strings.ReplaceAll(both, "a=recvonly", "a=sendrecv"), true, true},
		"said once": {strings.Replace(strings.ReplaceAll(both, "a=recvonly\r\n", ""), "t=0 0\r\n", "t=0 0\r\na=recvonly\r\n", 1), true, true},
		"unsaid":    {strings.ReplaceAll(both, "a=recvonly\r\n", ""), true, true},
		"sendonly":  {strings.ReplaceAll(both, "a=recvonly", "a=sendonly"), false, false},
		"no sound":  {both[:strings.Index(both, "m=audio")], true, false},
		"no video":  {strings.Replace(both, "a=recvonly", "a=inactive", 1), false, true},
	} {
		w, err := readOffer(tt.offer)
		if err != nil || (w.video != nil) != tt.video || (w.audio != nil) != tt.audio {
			t.Errorf("%s: got %d video and %d audio payload types, error %v", name, len(w.video), len(w.audio), err)
		}
	}
	for name, offer := range map[string]string{
		"empty": "", "nonsense": "v=0\r\nnonsense\r\n", "no media": both[:strings.Index(both, "m=")],
		"too many media": both + strings.Repeat(both[strings.Index(both, "m=audio"):], 4),
	} {
		if _, err := readOffer(offer); !errors.Is(err, rtcsock.ErrOffer) {
			t.Errorf("%s: got error %v", name, err)
		}
	}
}

func FuzzReadOffer(f *testing.F) {
	for _, name := range []string{"chromium", "firefox", "safari", "gstreamer"} {
		f.Add(offerText(f, name))
	}
	config := avcConfig(100, 0)
	f.Fuzz(func(_ *testing.T, offer string) {
		w, err := readOffer(offer)
		if err != nil {
			return
		}
		for c := range sdpNames {
			choose(w.video, c, config)
			choose(w.audio, c, nil)
		}
	})
}

// An offer that cannot be served is rejected with the reason, and leaves nothing behind.
func TestRefusals(t *testing.T) {
	chromium := offerText(t, "chromium")
	hevc := &packetbuf.Packet{Track: packetbuf.Video, Codec: packetbuf.HEVC, Kind: packetbuf.Config}
	tests := []struct {
		name   string
		change func(*fakeRelay)
		offer  string
		status int
		says   string
		after  string
	}{
		{"codec not offered", func(h *fakeRelay) { h.template.configs[packetbuf.Video] = hevc }, chromium, http.StatusUnprocessableEntity, "HEVC", ""},
		{"nothing offered", nil, strings.ReplaceAll(chromium, "a=recvonly", "a=sendonly"), http.StatusUnprocessableEntity, "recvonly", ""},
		{"no codec that there is", nil, strings.NewReplacer("H264", "H263", "opus", "speex").Replace(chromium), http.StatusUnprocessableEntity, "Opus", ""},
		{"not an offer", nil, "nonsense", http.StatusBadRequest, "offer", ""},
		{"no DTLS", nil, dropped(chromium, "a=fingerprint"), http.StatusBadRequest, "offer", ""},
		{
			"not live", func(h *fakeRelay) {
				h.refusal = &signal.Refusal{Reason: "not live yet", NotLive: true, RetryAfter: 2 * time.Second}
			},
			chromium, http.StatusConflict, "not live yet", "2",
		},
		{"no slot", func(h *fakeRelay) { h.full = &signal.Refusal{Reason: "full", RetryAfter: 10 * time.Second} }, chromium, http.StatusServiceUnavailable, "full", "10"},
		{"an error within", func(h *fakeRelay) { h.refusal = errors.New("db password is hunter2") }, chromium, http.StatusServiceUnavailable, "cannot serve", "1"},
		{"closed", func(h *fakeRelay) { _ = h.Close(t.Context()) }, chromium, http.StatusServiceUnavailable, "shutting down", "1"},
	}
	for _, tt := range tests {
		h := newHouse(t, nil)
		if tt.change != nil {
			tt.change(h)
		}
		w := h.post(t, tt.offer)
		if w.status != tt.status || !strings.Contains(w.body.String(), tt.says) || w.header.Get("Retry-After") != tt.after || strings.Contains(w.body.String(), "hunter") {
			t.Errorf("%s: got status %d %q, Retry-After %q", tt.name, w.status, w.body.String(), w.header.Get("Retry-After"))
		}
		h.over(t)
	}
}

func dropped(offer, prefix string) string {
	var out strings.Builder
	for line := range strings.Lines(offer) {
		if !strings.HasPrefix(line, prefix) {
			out.WriteString(line)
		}
	}
	return out.String()
}

// Offers of browsers are answered with the requested tracks, sendonly.
func TestAnswers(t *testing.T) {
	for _, name := range []string{"chromium", "firefox", "safari", "gstreamer"} {
		h := newHouse(t, nil)
		h.template.configs[packetbuf.Video] = avcConfig(66, 0xe0)
		h.template.reorders = true
		w := h.post(t, offerText(t, name))
		answer := w.body.String()
		if w.status != http.StatusCreated || strings.Count(answer, "a=sendonly") != 2 || strings.Count(answer, "a=rtpmap:") != 2 ||
			!strings.Contains(answer, "a=candidate:") {
			t.Errorf("%s: got status %d\n%s", name, w.status, answer)
		}
		if w.header.Get("Holdfast-Notice") != bFramesNotice || w.header.Get("ETag") == "" {
			t.Errorf("%s: got header %v", name, w.header)
		}
		r := h.requests[0]
		if r.App != "live" || r.Name != "a" || r.Token != "secret" || r.Protocol != Protocol || r.Agent != "test" || len(r.Audio) != 1 || r.Audio[0] != packetbuf.Opus {
			t.Errorf("got %+v", r)
		}
		if got := h.do(t, http.MethodDelete, w.header.Get("Location"), "").status; got != http.StatusOK {
			t.Errorf("DELETE: got status %d", got)
		}
		h.left()
	}
}

// Video without a configuration, such as VP8, is answered with its codec.
func TestAnswersWithoutConfiguration(t *testing.T) {
	h := newHouse(t, nil)
	h.template.videoCodec = packetbuf.VP8
	w := h.post(t, offerText(t, "chromium"))
	if answer := w.body.String(); w.status != http.StatusCreated || !strings.Contains(answer, "VP8/90000") || strings.Contains(answer, "H264") {
		t.Errorf("got status %d\n%s", w.status, answer)
	}
	h.do(t, http.MethodDelete, w.header.Get("Location"), "")
	h.left()
}
