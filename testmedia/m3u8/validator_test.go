package m3u8

import (
	"strings"
	"testing"
)

// first and second are consecutive playlists that one player sees, one part apart.
const (
	first = `#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:2
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.5,HOLD-BACK=6,CAN-SKIP-UNTIL=12
#EXT-X-PART-INF:PART-TARGET=0.5
#EXT-X-MEDIA-SEQUENCE:10
#EXT-X-DISCONTINUITY-SEQUENCE:3
#EXT-X-MAP:URI="init-a.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-01-31T20:00:00.000Z
#EXTINF:2.00000,
10.m4s
#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI="init-b.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-01-31T20:00:05.000Z
#EXT-X-PART:DURATION=0.50000,URI="p1.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.50000,URI="p2.m4s"
#EXT-X-PART:DURATION=0.20000,URI="p3.m4s"
#EXTINF:1.20000,
11.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-01-31T20:00:06.200Z
#EXT-X-PART:DURATION=0.50000,URI="p4.m4s",INDEPENDENT=YES
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="p5.m4s"
`
	second = `#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:2
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.5,HOLD-BACK=6,CAN-SKIP-UNTIL=12
#EXT-X-PART-INF:PART-TARGET=0.5
#EXT-X-MEDIA-SEQUENCE:10
#EXT-X-DISCONTINUITY-SEQUENCE:3
#EXT-X-SKIP:SKIPPED-SEGMENTS=1
#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI="init-b.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-01-31T20:00:05.000Z
#EXTINF:1.20000,
11.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-01-31T20:00:06.200Z
#EXT-X-PART:DURATION=0.50000,URI="p4.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.49000,URI="p5.m4s"
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="p6.m4s"
`
)

// TestValidator adds valid playlists, and then playlists with one violation each in the first or the
// second.
func TestValidator(t *testing.T) {
	v := NewValidator()
	for _, text := range []string{first, second, second, strings.Replace(second, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"p6.m4s\"", "#EXT-X-ENDLIST", 1)} {
		if err := v.Add(text); err != nil {
			t.Fatalf("got %v for a valid playlist\n%s", err, text)
		}
	}
	if v.Last() != 11 || v.Discontinuities() != 1 || len(v.Short) != 0 || v.Add(second) == nil {
		t.Errorf("got validator %+v", v)
	}
	for _, tt := range []struct{ was, is, want string }{
		{"#EXTM3U", "#EXT", "begins with"},
		{"#EXT-X-VERSION:9", "#EXT-X-VERSION:9\n#EXT-X-VERSION:9", "duplicate"},
		{"#EXTINF:1.20000,\n", "", "without EXTINF"},
		{"HOLD-BACK=6", "HOLD-BACK=5", "server control"},
		{"CAN-BLOCK-RELOAD=YES,", "", "server control"},
		{"PART-HOLD-BACK=1.5", "PART-HOLD-BACK=1.4", "PART-HOLD-BACK"},
		{"CAN-SKIP-UNTIL=12", "CAN-SKIP-UNTIL=11", "CAN-SKIP-UNTIL"},
		{"SEQUENCE:10", "SEQUENCE:0", "want both above 0"},
		{"DISCONTINUITY-SEQUENCE:3", "DISCONTINUITY-SEQUENCE:2000000", "too high for players"},
		{"#EXTINF:1.20000,", "#EXTINF:2.60000,", "segment 11 lasts"},
		{"#EXTINF:1.20000,", "#EXTINF:no,", "segment 11 lasts"},
		{"DURATION=0.50000,URI=\"p4", "DURATION=0.50100,URI=\"p4", "the target is"},
		{"DURATION=0.50000,URI=\"p4", "DURATION=0,URI=\"p4", "the target is"},
		{"20:00:06.200Z", "20:00:06.300Z", "begins 0.100 s from"},
		{"#EXT-X-PROGRAM-DATE-TIME:2026-01-31T20:00:06.200Z\n", "", "date"},
		{"#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"p6.m4s\"\n", "", "no preload hint"},
		{"#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"p5.m4s\"\n", "", "no preload hint"},
		// Violations in first.
		{"DURATION=0.50000,URI=\"p2", "DURATION=0.40000,URI=\"p2", "too short"},
		{"DURATION=0.20000,URI=\"p3", "DURATION=0.30000,URI=\"p3", "parts of 1.3"},
		{"p2.m4s", "p1.m4s", "was 11.0"},
		{"10.m4s", "11.m4s", "is segment 11 and was 10"},
		{"#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"init-b.mp4\"", "#EXT-X-MAP:URI=\"init-b.mp4\"", "but no discontinuity"},
		// Violations in second.
		{"VERSION:9", "VERSION:8", "in version 8"},
		{"MEDIA-SEQUENCE:10", "MEDIA-SEQUENCE:9", "went back"},
		{"MEDIA-SEQUENCE:10", "MEDIA-SEQUENCE:13", "from segment 11 to 13"},
		{"TARGETDURATION:2", "TARGETDURATION:1", "target durations"},
		{"PART-TARGET=0.5", "PART-TARGET=0.4", "target durations"},
		{"SKIPPED-SEGMENTS=1", "SKIPPED-SEGMENTS=2", "is segment 12 and was 11"},
		{"SKIPPED-SEGMENTS=1", "SKIPPED-SEGMENTS=3", "never listed"},
		{"SKIPPED-SEGMENTS=1", "SKIPPED-SEGMENTS=x", "invalid syntax"},
		{"11.m4s", "12.m4s", "changed from"},
		{"DISCONTINUITY-SEQUENCE:3", "DISCONTINUITY-SEQUENCE:4", "changed from"},
		{"URI=\"p5.m4s\"", "URI=\"p7.m4s\"", "does not match the preload hint p5.m4s"},
	} {
		found := false
		for i := range 2 {
			all := []string{first, second}
			all[i] = strings.Replace(all[i], tt.was, tt.is, 1)
			v := NewValidator()
			err := v.Add(all[0])
			if err == nil {
				err = v.Add(all[1])
			}
			found = found || err != nil && strings.Contains(err.Error(), tt.want)
		}
		if !found {
			t.Errorf("got no error for %q instead of %q, want %q", tt.is, tt.was, tt.want)
		}
	}
}

// TestJumps adds the playlist of another run of the relay. Its sequence numbers are above all earlier
// ones, after a discontinuity.
func TestJumps(t *testing.T) {
	again := strings.NewReplacer("SEQUENCE:10", "SEQUENCE:100", "DISCONTINUITY-SEQUENCE:3", "DISCONTINUITY-SEQUENCE:90", "\n10.m4s", "\n100.m4s", "\n11.m4s", "\n101.m4s", "URI=\"p", "URI=\"q").Replace(first)
	for _, tt := range []struct {
		jumps bool
		text  string
		want  bool
	}{{true, again, true}, {false, again, false}, {true, strings.Replace(again, "SEQUENCE:90", "SEQUENCE:3", 1), false}} {
		v := NewValidator()
		v.AllowJumps = tt.jumps
		if err := v.Add(first); err != nil {
			t.Fatal(err)
		}
		if err := v.Add(tt.text); (err == nil) != tt.want {
			t.Errorf("AllowJumps %v: got %v", tt.jumps, err)
		}
	}
}

func FuzzAdd(f *testing.F) {
	f.Add(first, second)
	f.Add(second, "#EXTM3U\n#EXT-X-SKIP:SKIPPED-SEGMENTS=-1\n")
	f.Fuzz(func(t *testing.T, one, two string) {
		v := NewValidator()
		for _, text := range []string{one, two} {
			p, err := Parse(text)
			if err != nil {
				continue
			}
			if p.Skipped < 0 || p.Skipped > maxSkipped {
				t.Fatalf("got %d segments skipped, want at most maxSkipped", p.Skipped)
			}
			_ = v.Add(text) // only panics count
		}
	})
}
