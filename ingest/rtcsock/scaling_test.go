package rtcsock

import (
	"strings"
	"testing"

	"github.com/holdfast-live/holdfast/testmedia/scaling"
)

func TestFragmentWorkIsLinear(t *testing.T) {
	for name, unit := range map[string]string{
		"empty lines":   "\r\n",
		"other lines":   "b=1\n",
		"attributes":    "a=x\n",
		"MIDs":          "a=mid:0\r\n",
		"one user name": "a=ice-ufrag:abcd\n",
		"candidates":    "a=candidate:1 1 udp 1 192.0.2.1 1 typ host\n",
		"ends":          "a=end-of-candidates\n",
		"media":         "m=audio 9 UDP/TLS/RTP/SAVPF 0\n",
	} {
		t.Run(name, func(t *testing.T) {
			scaling.Linear(t, 1<<12, func(size int) func() {
				text := strings.Repeat(unit, size/len(unit))
				return func() {
					if f, err := ParseFragment(text); err == nil {
						_ = f.String()
					}
					if f, err := fragmentOf(text); err == nil {
						_ = f.String()
					}
				}
			})
		})
	}
}
