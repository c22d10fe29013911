package configs

import (
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestReaches(t *testing.T) {
	cfg, _ := load(t, `streams: [{match: "live/vip"}, {match: "live/*"}, {match: "live/a*"}, {match: "cam/?"}]`)
	for pattern, want := range map[string][]string{
		"live/vip": {"streams[0]"}, "live/cam": {"streams[1]"}, "live/*": {"streams[0]", "streams[1]"}, "live/v*": {"streams[0]", "streams[1]"},
		"live/abc": {"streams[1]"}, "cam/1": {"streams[3]"}, "cam/10": {"defaults"}, "cam/*": {"streams[3]", "defaults"}, "x/y": {"defaults"},
		"*/*": {"streams[0]", "streams[1]", "streams[3]", "defaults"}, "*/vip": {"streams[0]", "streams[1]", "defaults"},
	} {
		var got []string
		for _, r := range cfg.Reaches(pattern) {
			got = append(got, r.At)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s is reached by %q, want %q", pattern, got, want)
		}
	}
}

func TestOpen(t *testing.T) {
	for text, want := range map[string]IsOpen{
		"":                             {Others: true, All: true},
		"defaults: {play_secret: x}":   {},
		"streams: [{match: 'live/*'}]": {Which: []string{"live/*"}, Others: true, All: true},
		"streams: [{match: 'live/*', play_secret: x}]":                                                               {Others: true},
		"streams: [{match: '*/*', play_secret: x}]":                                                                  {},
		"defaults: {play_secret: x}\nstreams: [{match: 'live/*', play_secret: ''}]":                                  {Which: []string{"live/*"}},
		"defaults: {play_secret: x}\nstreams: [{match: '*/*'}, {match: 'live/*', play_secret: ''}]":                  {},
		"streams: [{match: 'a/*'}, {match: 'b/*', play_secret: x}, {match: 'c/*'}]":                                  {Which: []string{"a/*", "c/*"}, Others: true},
		"defaults: {play_secret: x}\nstreams: [{match: 'live/*', play_secret: ''}, {match: 'a/*', publish_keys: k}]": {Which: []string{"live/*"}},
	} {
		cfg, _ := load(t, text)
		if _, got := cfg.Open(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: playing is open for %+v, want %+v", text, got, want)
		}
	}
}

// Patterns overlap if both match one name.
func TestOverlaps(t *testing.T) {
	pattern := rapid.StringMatching(`([ab?*]|\[ab\]|\[^a\]){1,6}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := pattern.Draw(t, "a"), pattern.Draw(t, "b")
		met := overlapsPart(a, b)
		for range 20 {
			name := rapid.StringMatching(`[abc]{1,7}`).Draw(t, "name")
			if !met && matches(a, name) && matches(b, name) {
				t.Fatalf("got %q and %q do not overlap, but both match %q", a, b, name)
			}
		}
	})
	for _, apart := range [][2]string{{"live/*", "cam/*"}, {"live/a*", "live/b*"}, {"live/?", "live/??"}} {
		if overlaps(apart[0], apart[1]) {
			t.Errorf("got %q overlap", apart)
		}
	}
}
