package whip

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pion/sdp/v3"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/ingest/rtcsock"
	"github.com/holdfast-live/holdfast/packetbuf"
)

func offerText(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "offers", name+".sdp"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestAnswers answers real offers of browsers and encoders.
func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		name  string
		video packetbuf.Codec
		audio packetbuf.Codec
		first string // payload type of video in the answer
		rids  []string
	}{
		{"chromium", packetbuf.H264, packetbuf.Opus, "102", nil},
		{"chromium-simulcast", packetbuf.H264, packetbuf.Opus, "102", []string{"h", "m", "l"}},
		{"chromium-sendrecv", packetbuf.H264, packetbuf.Opus, "102", nil},
		{"vp8", packetbuf.VP8, packetbuf.Opus, "96", nil},
		{"av1", packetbuf.AV1, packetbuf.Opus, "45", nil},
		{"hevc", packetbuf.HEVC, packetbuf.Opus, "49", nil},
		{"audio", packetbuf.NoCodec, packetbuf.Opus, "", nil},
		{"video", packetbuf.H264, packetbuf.NoCodec, "102", nil},
		{"obs", packetbuf.H264, packetbuf.Opus, "96", nil},
		{"obs-simulcast", packetbuf.H264, packetbuf.Opus, "96", []string{"0", "1", "2"}},
		{"gstreamer", packetbuf.H264, packetbuf.Opus, "96", nil},
		{"firefox", packetbuf.H264, packetbuf.Opus, "126", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := offerText(t, c.name)
			o, err := readOffer(text)
			if err != nil || o.video != c.video || o.audio != c.audio || o.layers != len(c.rids) {
				t.Fatalf("got %+v, %v", o, err)
			}
			h := newTestServer(t, nil)
			_, answer, err := h.open(t.Context(), testRequest(text))
			if err != nil {
				t.Fatal(err)
			}
			var d, offer sdp.SessionDescription
			if err := errors.Join(d.UnmarshalString(answer), offer.UnmarshalString(text)); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(answer, ".local") || !strings.Contains(answer, "a=candidate:") || len(d.MediaDescriptions) != len(offer.MediaDescriptions) {
				t.Errorf("got answer\n%s", answer)
			}
			for _, m := range d.MediaDescriptions {
				if got := rtcsock.Direction(&d, m); got != "recvonly" || m.MediaName.Port.Value == 0 {
					t.Errorf("%s: got %s at port %d", m.MediaName.Media, got, m.MediaName.Port.Value)
				}
				names := map[string]bool{}
				for _, p := range rtcsock.PayloadTypes(m) {
					names[strings.ToLower(p.MimeType)] = true
				}
				if len(names) != 1 {
					t.Errorf("got %s in %v", m.MediaName.Media, names)
				}
				if m.MediaName.Media == "video" {
					wantVideo(t, m, c.first, c.rids, text)
				}
			}
		})
	}
}

func wantVideo(t *testing.T, m *sdp.MediaDescription, first string, rids []string, offer string) {
	t.Helper()
	if got := m.MediaName.Formats[0]; got != first {
		t.Errorf("got payload type %s first, want %s", got, first)
	}
	var lines, got []string
	for _, a := range m.Attributes {
		lines = append(lines, a.Key+":"+a.Value)
		if a.Key == "rid" {
			rid, rest, _ := strings.Cut(a.Value, " ")
			if got = append(got, rid); rest != "recv" {
				t.Errorf("got rid %s", a.Value)
			}
		}
	}
	for _, f := range []string{"nack", "nack pli", "transport-cc", "goog-remb"} {
		line := "rtcp-fb:" + first + " " + f
		if offered := strings.Contains(offer, "a="+line+"\r\n"); slices.Contains(lines, line) != offered {
			t.Errorf("got %s, offered %v, in %q", f, offered, lines)
		}
	}
	slices.Sort(got)
	slices.Sort(rids)
	if !slices.Equal(got, rids) {
		t.Errorf("got rids %v, want %v", got, rids)
	}
	if s, ok := m.Attribute("simulcast"); ok != (len(rids) > 0) || ok && len(strings.Split(strings.TrimPrefix(s, "recv "), ";")) != len(rids) {
		t.Errorf("got simulcast %q", s)
	}
}

func TestOffersRefused(t *testing.T) {
	for name, reason := range map[string]string{
		"recvonly":       "the offer sends nothing",
		"no-video-codec": "none of the video codecs that are offered is supported",
		"no-audio-codec": "none of the audio codecs that are offered is supported",
		"two-videos":     "more than one video track is offered",
		"many-layers":    "7 simulcast layers are offered",
	} {
		h := newTestServer(t, nil)
		_, _, err := h.open(t.Context(), testRequest(offerText(t, name)))
		var r *ingest.Refusal
		if !errors.As(err, &r) || r.Outcome != ingest.RefusedCodec || r.Reason != reason || r.Hint == "" {
			t.Errorf("%s: %v, want %q", name, err, reason)
		}
		if len(h.refused) != 1 || h.refused[0] != ingest.RefusedCodec || len(h.requests) != 0 {
			t.Errorf("%s: got refused %v, requests %v", name, h.refused, h.requests)
		}
	}
	media := strings.Repeat("m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n", 5)
	for _, text := range []string{"", "v=0", "nonsense", "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n" + media} {
		h := newTestServer(t, nil)
		if _, _, err := h.open(t.Context(), testRequest(text)); !errors.Is(err, rtcsock.ErrOffer) {
			t.Errorf("%.40q: %v", text, err)
		}
	}
}

// FuzzReadOffer checks that an accepted offer has a codec and payload types of it.
func FuzzReadOffer(f *testing.F) {
	all, err := filepath.Glob("testdata/offers/*.sdp")
	if err != nil || len(all) == 0 {
		f.Fatal(err)
	}
	for _, name := range all {
		f.Add(offerText(f, strings.TrimSuffix(filepath.Base(name), ".sdp")))
	}
	f.Fuzz(func(t *testing.T, text string) {
		o, err := readOffer(text)
		if err != nil {
			return
		}
		if (o.video == packetbuf.NoCodec) != (len(o.videos) == 0) || (o.audio == packetbuf.NoCodec) != (len(o.audios) == 0) ||
			len(o.videos)+len(o.audios) == 0 || o.layers > maxLayers {
			t.Fatalf("got %+v", o)
		}
		_, _, _ = o.engine()
	})
}
