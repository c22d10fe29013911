// Package m3u8 reads media playlists of HTTP Live Streaming and holds them against the rules
// of RFC 8216 and its second edition, as one player sees them, one after the other.
package m3u8

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// Segment is what a playlist says of a segment.
type Segment struct {
	URI, Init, Duration, Date string   // Duration in seconds
	Parts                     []string // the attributes of each EXT-X-PART
	Discontinuity             bool     // stands before it
	Gap                       bool     // it is missing

	breaks uint64 // discontinuities up to it
}

var attribute = regexp.MustCompile(`([A-Z0-9-]+)=("[^"]*"|[^,]*)`)

// Attributes are the attributes of a tag, without quotes.
func Attributes(s string) map[string]string {
	out := map[string]string{}
	for _, m := range attribute.FindAllStringSubmatch(s, -1) {
		out[m[1]] = strings.Trim(m[2], `"`)
	}
	return out
}

// Seconds reads a duration; NaN where it is none.
func Seconds(s string) float64 {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return math.NaN()
	}
	return v
}

// Playlist is one media playlist.
type Playlist struct {
	Tags     map[string]string // those of the whole playlist, with their values
	Segments []Segment
	Open     Segment // with the parts of the segment that is not complete
	Hint     string  // the URI of the part to come
	Skipped  int     // segments that a delta update leaves out
	Ended    bool
}

// Sequence is the number of the first segment, skipped ones included.
func (p Playlist) Sequence() uint64 {
	n, _ := strconv.ParseUint(p.Tags["#EXT-X-MEDIA-SEQUENCE"], 10, 32)
	return n
}

// Parse reads a media playlist.
func Parse(text string) (p Playlist, err error) {
	p.Tags = map[string]string{}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if lines[0] != "#EXTM3U" {
		return p, fmt.Errorf("begins with %q", lines[0])
	}
	var now Segment
	init := ""
	for _, line := range lines[1:] {
		tag, value, _ := strings.Cut(line, ":")
		switch tag {
		case "#EXT-X-DISCONTINUITY":
			now.Discontinuity = true
		case "#EXT-X-GAP":
			now.Gap = true
		case "#EXT-X-MAP":
			init = Attributes(value)["URI"]
		case "#EXT-X-PROGRAM-DATE-TIME":
			now.Date = value
		case "#EXT-X-PART":
			now.Parts = append(now.Parts, value)
		case "#EXT-X-PRELOAD-HINT":
			p.Hint = Attributes(value)["URI"]
		case "#EXTINF":
			now.Duration = strings.TrimSuffix(value, ",")
		case "#EXT-X-SKIP":
			if p.Skipped, err = skipped(value); err != nil {
				return p, err
			}
		case "#EXT-X-ENDLIST":
			p.Ended = true
		default:
			if strings.HasPrefix(line, "#") {
				if _, twice := p.Tags[tag]; twice {
					return p, fmt.Errorf("%s twice", tag)
				}
				p.Tags[tag] = value
				continue
			}
			now.URI, now.Init = line, init
			if now.Duration == "" {
				return p, fmt.Errorf("%s without EXTINF", line)
			}
			p.Segments = append(p.Segments, now)
			now = Segment{}
		}
	}
	now.Init = init
	p.Open = now
	return p, nil
}

// most is how many segments may be skipped.
const most = 1 << 16

func skipped(value string) (int, error) {
	n, err := strconv.ParseUint(Attributes(value)["SKIPPED-SEGMENTS"], 10, 31)
	if err == nil && (n == 0 || n > most) {
		err = fmt.Errorf("%d segments are skipped", n)
	}
	return int(n), err //nolint:gosec // 31 bits
}
