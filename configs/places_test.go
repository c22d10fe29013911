package configs

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// placed returns the faults of a configuration with their places.
func placed(t *testing.T, err error) string {
	t.Helper()
	var faults Faults
	if !errors.As(err, &faults) {
		t.Fatalf("the error is %v, want Faults", err)
	}
	return faults.Placed()
}

func TestPlaces(t *testing.T) {
	t.Setenv("HOLDFAST_DRAIN_TIMEOUT", "2h")
	for name, tt := range map[string]struct {
		file string
		want []string // with : for the file's name
	}{
		"in lists": {"rtmp: {listen: nonsense}\n\nstreams:\n  - match: 'a/*'\n  - match: 'b/*'\n  - match: 'c/*'\n    hls:\n      # a comment\n      part: 1h\n      windw: 3\n    transcode:\n      - {name: 360p, height: 360, video: 600k}\n      - name: 'x/y'\n        height: 360\n        video: 600k\n", []string{
			`:1: rtmp.listen: "nonsense" is not a listen address; write host:port or :port; port 0 takes a free one`,
			":9: streams[2].hls.part: 1h0m0s is out of range; write 50ms to 2s",
			":10: streams[2].hls.windw: there is no such key; did you mean streams[2].hls.window?",
			`:13: streams[2].transcode[1].name: "x/y" cannot name a rendition; write 1 to 64 of A-Z a-z 0-9 . _ -`,
		}},
		"a default, once": {"defaults:\n  hold: 48h\n  publish_keys: ['']\nstreams:\n  - match: 'a/*'\n  - match: 'b/*'\n    hold: 72h\n  - {match: 'c/*', hold: 48h}\n", []string{
			":2: defaults.hold: 48h0m0s is out of range; write 0s to 24h0m0s",
			":3: defaults.publish_keys[0]: an empty key lets everyone in; leave it out, or write a key",
			":7: streams[1].hold: 72h0m0s is out of range; write 0s to 24h0m0s",
			":8: streams[2].hold: 48h0m0s is out of range; write 0s to 24h0m0s",
		}},
		"what is missing": {"push:\n  - match: 'a/*'\n    name: cdn\n", []string{
			`:2: push[0].routes: there is none; add - {name: a, url: "rtmp://a.example/live/{name}"}`,
		}},
		"merged": {"defaults: &base\n  filler: black\nstreams:\n  - match: 'a/*'\n    <<: *base\n    hold: x\n", []string{
			`:2: defaults.filler: "black" is not possible; write freeze, none, or the name of a file that ends in .flv`,
			`:2: streams[0].filler: "black" is not possible; write freeze, none, or the name of a file that ends in .flv`,
			`:6: streams[0].hold: "x" is not a duration; write a duration like 10s, 500ms or 1m`,
		}},
		"no group":   {"http:\n  listen: ':1'\nrtmp: 5\n", []string{":3: rtmp: it has to be a group of keys, not a value"}},
		"no YAML":    {"rtmp:\n  listen: ':1'\n - x\n", []string{":2: did not find expected key; it has to be YAML, groups of keys as in configs/holdfast.yaml"}},
		"twice":      {"rtmp: {}\nhttp: {}\nrtmp: {}\n", []string{`:3: "rtmp" stands there twice; it has to be YAML, groups of keys as in configs/holdfast.yaml`}},
		"tabs":       {"rtmp:\n  listen: ':1'\n#\tfine\nhttp:\n\tlisten: ':2'\nlog:\n  \tlevel: info\n", []string{":5: indented with a tab; YAML indents with spaces", ":7: indented with a tab; YAML indents with spaces"}},
		"a tab deep": {"defaults:\n  hls:\n\t\tpart: 100ms\n", []string{":3: indented with a tab; YAML indents with spaces"}},
	} {
		t.Run(name, func(t *testing.T) {
			file := write(t, tt.file)
			_, err := Read(file, nil)
			got := strings.Split(placed(t, err), "\n")
			want := []string{"drain.timeout: 2h0m0s is out of range (from HOLDFAST_DRAIN_TIMEOUT); write 0s to 1h0m0s"}
			if strings.Contains(tt.want[0], "YAML") {
				want = nil // a file that cannot be read
			}
			for _, w := range tt.want {
				want = append(want, file+w)
			}
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

func TestWarningPlaces(t *testing.T) {
	file := write(t, "admin:\n  token: s3cret\nstreams:\n  - match: 'live/*'\n  - match: 'live/cam'\n    publish_keys:\n      - Zt2wyuTBfPFmNQ8gP7ZCHWCZ\n      - pass\n")
	l, err := Read(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range l.Warnings() {
		key, _, _ := strings.Cut(w.Text, ": ")
		got = append(got, strings.TrimPrefix(w.Place, file)+" "+key)
	}
	if want := []string{":2 admin.token", ":8 streams[1].publish_keys[1]", ":5 streams[1].match"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The cost of a file's places is bounded by its size, however long its keys are.
func TestPlacesAreBounded(t *testing.T) {
	long := strings.Repeat("k", maxFile/2)
	for name, text := range map[string]string{
		"a long key": "? " + long + "\n:\n" + strings.Repeat(" - x\n", 90_000),
		"deep":       strings.Repeat("{"+strings.Repeat("k", 1000)+": ", 25) + "[" + strings.Repeat("x,", 90_000) + "]" + strings.Repeat("}", 25),
	} {
		begun := time.Now()
		_, lines, err := parsePlaced([]byte(text))
		size := 0
		for key := range lines {
			size += len(key)
		}
		if err != nil || size > maxKeyLength*maxNodes || time.Since(begun) > 10*time.Second {
			t.Errorf("%s: got %v, %d bytes of keys in %v", name, err, size, time.Since(begun))
		}
	}
}
