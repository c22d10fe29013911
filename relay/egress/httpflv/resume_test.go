package httpflv

import (
	"bufio"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/egress"
)

func TestPosition(t *testing.T) {
	for from, want := range map[string]time.Duration{
		"v12040": 12040 * time.Millisecond, "v0": 0, "v4294967295": (1<<32 - 1) * time.Millisecond, "a12040": 12040 * time.Millisecond,
		"v4294967296": -1, "": -1, "v": -1, "a": -1, "12040": -1, "V1": -1, "v-1": -1, "v+1": -1, "v 1": -1, "v1.5": -1, "d1": -1, "v0x10": -1, "v1_0": -1, "av1": -1,
	} {
		track, dts := position(from)
		if wantTrack := packetbuf.Track(0); dts != want || from != "" && from[0] == 'a' && want >= 0 && track != packetbuf.Audio || want < 0 && track != wantTrack {
			t.Errorf("position(%q) = %v, %v", from, track, dts)
		}
	}
}

// A viewer that sends the position at which it was cut off learns whether it continues there.
func TestResume(t *testing.T) {
	for query, want := range map[string]*egress.Resume{
		"":                        nil,
		"?from=v1":                nil,
		"?resume=x&from=v12040":   {Token: "x", DTS: 12040 * time.Millisecond},
		"?resume=x-_&from=a7":     {Token: "x-_", Track: packetbuf.Audio, DTS: 7 * time.Millisecond},
		"?resume=x":               {Token: "x", DTS: -1},
		"?resume=&from=a":         {DTS: -1},
		"?token=t&resume=x&from=": {Token: "x", DTS: -1},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newServed()
			c := dial(t, s.serve(t, nil), "GET /live/cam.flv"+query+" HTTP/1.1\r\nHost: relay\r\n\r\n")
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			told := ""
			if want != nil {
				told = "exact"
			}
			if resp.Header.Get("Holdfast-Session") != "t0ken" || resp.Header.Get("Holdfast-Resume") != told {
				t.Errorf("%q: got header %v", query, resp.Header)
			}
			got := s.source.asked[0].Resume
			if (got == nil) != (want == nil) || got != nil && *got != *want {
				t.Errorf("%q: got request %+v", query, got)
			}
		})
	}
}
