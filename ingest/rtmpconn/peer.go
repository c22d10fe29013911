package rtmpconn

import (
	"strings"
	"unicode"

	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
)

// peer is what a client says of itself in connect.
type peer struct {
	transaction float64
	app         string
	tcURL       string
	agent       string
	codecs      *Codecs         // nil: it does not say
	enhanced    []wire.Property // Enhanced RTMP's part of the answer
}

// maxAgent is how many bytes of flashVer are kept.
const maxAgent = 256

func parseConnect(cmd wire.Command) peer {
	o := wire.Properties(cmd.Arg(0))
	text := func(key string) string {
		s, _ := o.Find(key).(wire.String)
		return string(s)
	}
	return peer{
		transaction: cmd.Transaction,
		app:         text("app"),
		tcURL:       text("tcUrl"),
		agent:       printable(text("flashVer")),
		codecs:      announcedCodecs(o),
		enhanced:    negotiated(o),
	}
}

// printable returns what of a peer's text may appear in a log.
func printable(s string) string {
	s = s[:min(len(s), maxAgent)]
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
}
