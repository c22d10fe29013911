package rtcsock

import (
	"errors"
	"net"
	"reflect"
	"strings"
	"testing"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
)

const (
	host   = "candidate:1 1 udp 2130706431 192.0.2.7 5000 typ host"
	dotted = "candidate:2 1 udp 2113937151 8c0b1a6e-0000-4c5e-9b0a-1f2e3d4c5b6a.local 5001 typ host"
	pwd    = "0123456789abcdefghijkl"
)

// fragments are inputs with the expected results; they also seed the fuzzer.
var fragments = []struct {
	name, text string
	want       Fragment // without media
	bad        bool
}{
	{name: "nothing"},
	{
		name: "of a browser", text: "a=ice-ufrag:EsAw\r\na=ice-pwd:" + pwd + "\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na=" + host + "\r\na=" + dotted + "\r\na=end-of-candidates\r\n",
		want: Fragment{Ufrag: "EsAw", Pwd: pwd, Candidates: []string{host, dotted}, MIDs: []string{"0", "0"}, End: true},
	},
	{
		name: "line feeds alone, and unknown lines", text: "a=group:BUNDLE 0 1\na=ice-options:trickle\nc=IN IP4 0.0.0.0\na=ice-ufrag:EsAw\na=ice-pwd:" + pwd + "\n\na=" + host,
		want: Fragment{Ufrag: "EsAw", Pwd: pwd, Candidates: []string{host}, MIDs: []string{""}},
	},
	{
		name: "credentials in each medium", text: "m=audio 9 x 0\r\na=mid:a\r\na=ice-ufrag:EsAw\r\na=ice-pwd:" + pwd + "\r\na=" + host + "\r\nm=video 9 x 0\r\na=mid:v\r\na=ice-ufrag:EsAw\r\na=ice-pwd:" + pwd + "\r\na=" + host,
		want: Fragment{Ufrag: "EsAw", Pwd: pwd, Candidates: []string{host, host}, MIDs: []string{"a", "v"}},
	},
	{name: "candidates alone", text: "a=" + host, want: Fragment{Candidates: []string{host}, MIDs: []string{""}}},
	{name: "no equals sign", text: "a", bad: true},
	{name: "two letters", text: "ab=c", bad: true},
	{name: "a long line", text: "a=" + strings.Repeat("x", maxLine), bad: true},
	{name: "a password alone", text: "a=ice-pwd:" + pwd, bad: true},
	{name: "a user alone", text: "a=ice-ufrag:EsAw", bad: true},
	{name: "a short user", text: "a=ice-ufrag:abc\r\na=ice-pwd:" + pwd, bad: true},
	{name: "a short password", text: "a=ice-ufrag:EsAw\r\na=ice-pwd:" + pwd[1:], bad: true},
	{name: "a long user", text: "a=ice-ufrag:" + strings.Repeat("x", 257) + "\r\na=ice-pwd:" + pwd, bad: true},
	{name: "a space in the user", text: "a=ice-ufrag:Es Aw\r\na=ice-pwd:" + pwd, bad: true},
	{name: "two users", text: "a=ice-ufrag:EsAw\r\na=ice-pwd:" + pwd + "\r\na=ice-ufrag:other", bad: true},
	{name: "two passwords", text: "a=ice-ufrag:EsAw\r\na=ice-pwd:" + pwd + "\r\na=ice-pwd:x" + pwd, bad: true},
	{name: "too many candidates", text: strings.Repeat("a="+host+"\r\n", maxCandidates+1), bad: true},
	{name: "too many media", text: strings.Repeat("m=audio 9 x 0\r\n", maxMedia+1), bad: true},
}

func TestParseFragment(t *testing.T) {
	for _, c := range fragments {
		f, err := ParseFragment(c.text)
		if c.bad {
			if !errors.Is(err, ErrFragment) {
				t.Errorf("%s: got %+v, %v, want ErrFragment", c.name, f, err)
			}
			continue
		}
		if f.media = nil; err != nil || !reflect.DeepEqual(f, c.want) {
			t.Errorf("%s: got %+v, %v, want %+v", c.name, f, err, c.want)
		}
	}
}

// FuzzParseFragment checks that a fragment that is written and read again does not change.
func FuzzParseFragment(f *testing.F) {
	for _, c := range fragments {
		f.Add(c.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		one, err := ParseFragment(text)
		if err != nil {
			return
		}
		two, err := ParseFragment(one.String())
		if err != nil {
			t.Fatalf("%q: got %q when written: %v", text, one.String(), err)
		}
		if one.Ufrag != two.Ufrag || one.Pwd != two.Pwd || one.End != two.End || !reflect.DeepEqual(one.Candidates, two.Candidates) {
			t.Fatalf("got %+v, then %+v", one, two)
		}
		if one.String() != two.String() {
			t.Fatalf("got %q, then %q", one.String(), two.String())
		}
		if len(one.Candidates) != len(one.MIDs) || len(one.Candidates) > maxCandidates {
			t.Fatalf("got %d candidates with %d MIDs", len(one.Candidates), len(one.MIDs))
		}
	})
}

const description = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\na=ice-lite\r\n" +
	"m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=ice-ufrag:EsAw\r\na=ice-pwd:" + pwd + "\r\na=rtpmap:111 opus/48000/2\r\na=" + host + "\r\na=end-of-candidates\r\n" +
	"m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\na=ice-ufrag:EsAw\r\na=ice-pwd:" + pwd + "\r\na=rtpmap:96 VP8/90000\r\na=" + host + "\r\n"

func TestFragmentOf(t *testing.T) {
	f, err := fragmentOf(description)
	if err != nil {
		t.Fatal(err)
	}
	const want = "a=ice-ufrag:EsAw\r\na=ice-pwd:" + pwd + "\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=" + host + "\r\na=end-of-candidates\r\n"
	if f.String() != want {
		t.Errorf("got %q, want %q", f.String(), want)
	}
}

func TestWithCredentials(t *testing.T) {
	other := "newnewnewnewnewnewnewnew"
	got, err := withCredentials(description, Fragment{Ufrag: "newu", Pwd: other, Candidates: []string{host}})
	if err != nil {
		t.Fatal(err)
	}
	want := description
	for _, change := range [][2]string{{"EsAw", "newu"}, {pwd, other}, {"a=" + host + "\r\n", ""}, {"a=end-of-candidates\r\n", ""}} {
		want = strings.ReplaceAll(want, change[0], change[1])
	}
	if got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if _, err := withCredentials("nonsense", Fragment{}); err == nil {
		t.Error("unparsable description: got no error")
	}
}

func parseMedium(t *testing.T, media string) *sdp.SessionDescription {
	t.Helper()
	d := &sdp.SessionDescription{}
	if err := d.UnmarshalString("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n" + media); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDirection(t *testing.T) {
	const m = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n"
	for media, want := range map[string]string{
		m:                                       "sendrecv",
		m + "a=sendonly\r\n":                    "sendonly",
		"a=recvonly\r\n" + m:                    "recvonly",
		"a=recvonly\r\n" + m + "a=inactive\r\n": "inactive",
	} {
		d := parseMedium(t, media)
		if got := Direction(d, d.MediaDescriptions[0]); got != want {
			t.Errorf("%q: got %s, want %s", media, got, want)
		}
	}
}

func TestPayloadTypes(t *testing.T) {
	d := parseMedium(t, "m=audio 9 UDP/TLS/RTP/SAVPF 111 0 9 x 300 63\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n"+
		"a=rtpmap:9 G722/8000\r\na=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\na=rtpmap:5 late/8000\r\na=rtpmap:11\r\n")
	want := []webrtc.RTPCodecParameters{
		{PayloadType: 111, RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: "audio/opus", ClockRate: 48000, Channels: 2, SDPFmtpLine: "minptime=10;useinbandfec=1"}},
		{PayloadType: 9, RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: "audio/G722", ClockRate: 8000}},
		{PayloadType: 63, RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: "audio/red", ClockRate: 48000, Channels: 2, SDPFmtpLine: "111/111"}},
	}
	if got := PayloadTypes(d.MediaDescriptions[0]); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for line, rate := range map[string]uint32{"opus/48000": 48000, "opus/131071": 131071, "opus/131072": 0, "opus/-1": 0, "opus/": 0, "opus": 0, "opus/1e3": 0} {
		d := parseMedium(t, "m=audio 9 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 "+line+"\r\n")
		if got := PayloadTypes(d.MediaDescriptions[0]); len(got) != 1 || got[0].ClockRate != rate {
			t.Errorf("%s: got %+v, want a rate of %d", line, got, rate)
		}
	}
}

func TestReachable(t *testing.T) {
	of := func(addrs ...string) (all []net.Addr) {
		for _, a := range addrs {
			ip, network, err := net.ParseCIDR(a)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, &net.IPNet{IP: ip, Mask: network.Mask})
		}
		return append(all, &net.UnixAddr{})
	}
	for _, c := range []struct {
		name  string
		all   []net.Addr
		bound net.IP
		want  []string
	}{
		{"of both kinds", of("127.0.0.1/8", "192.0.2.7/24", "::1/128", "2001:db8::1/64", "fe80::1/64"), net.IPv6unspecified, []string{"192.0.2.7:5000", "[2001:db8::1]:5000"}},
		{"of IPv4", of("127.0.0.1/8", "192.0.2.7/24", "2001:db8::1/64", "169.254.1.1/16"), net.IPv4zero, []string{"192.0.2.7:5000"}},
		{"of this machine alone", of("127.0.0.1/8", "::1/128"), net.IPv6unspecified, []string{"127.0.0.1:5000", "[::1]:5000"}},
		{"of none", of("fe80::1/64"), net.IPv6unspecified, nil},
	} {
		var got []string
		for _, a := range reachable(c.all, &net.UDPAddr{IP: c.bound, Port: 5000}) {
			got = append(got, a.String())
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}
