package rtmpconn

import (
	"strings"
	"unicode"

	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
)

// peer holds what a client says about itself in connect.
type peer struct {
	transaction float64
	app         string
	tcURL       string
	agent       string
	codecs      *Codecs         // nil if it announces none
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

// printable returns the printable characters of a peer's text, with a bounded length, for logs.
func printable(s string) string {
	s = s[:min(len(s), maxAgent)]
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
}
