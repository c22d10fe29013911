package hls

import (
	"strings"
	"testing"

	"github.com/holdfast-live/holdfast/testmedia/scaling"
)

func TestQueryWorkIsLinear(t *testing.T) {
	for name, unit := range map[string]string{
		"parameters":           "a&",
		"parameters of a name": "s=a&",
		"distinct parameters":  "",
		"escapes":              "%61",
		"equals":               "=",
		"numbers":              "_HLS_msn=1&",
	} {
		t.Run(name, func(t *testing.T) {
			scaling.Linear(t, 64, func(size int) func() {
				raw := strings.Repeat(unit, size/max(1, len(unit)))
				if unit == "" {
					var b strings.Builder
					for i := 0; b.Len() < size; i++ {
						b.WriteString(string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676%26)) + "&")
					}
					raw = b.String()
				}
				return func() { _, _ = parseQuery(raw) }
			})
		})
	}
}
