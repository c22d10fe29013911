// Package m3u8 parses HLS media playlists and validates the playlists that one player sees against RFC
// 8216 and its second edition.
package m3u8

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// Segment is a segment of a playlist.
type Segment struct {
	URI, Init, Duration, Date string   // Duration is in seconds
	Parts                     []string // attributes of each EXT-X-PART
	Discontinuity             bool     // precedes the segment
	Gap                       bool     // the segment is missing

	breaks uint64 // number of discontinuities up to the segment
}

var attribute = regexp.MustCompile(`([A-Z0-9-]+)=("[^"]*"|[^,]*)`)

// Attributes returns the attributes of a tag, without quotes.
func Attributes(s string) map[string]string {
	out := map[string]string{}
	for _, m := range attribute.FindAllStringSubmatch(s, -1) {
		out[m[1]] = strings.Trim(m[2], `"`)
	}
	return out
}

// Seconds parses a duration in seconds. It returns NaN if s is not a number.
func Seconds(s string) float64 {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return math.NaN()
	}
	return v
}

// Playlist is a media playlist.
type Playlist struct {
	Tags     map[string]string // tags that apply to the whole playlist, with their values
	Segments []Segment
	Open     Segment // the incomplete segment, with its parts so far
	Hint     string  // URI of the next part
	Skipped  int     // segments omitted from a delta update
	Ended    bool
}

// Sequence returns the media sequence number of the first segment, including skipped ones.
func (p Playlist) Sequence() uint64 {
	n, _ := strconv.ParseUint(p.Tags["#EXT-X-MEDIA-SEQUENCE"], 10, 32)
	return n
}

// Parse parses a media playlist.
func Parse(text string) (p Playlist, err error) {
	p.Tags = map[string]string{}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if lines[0] != "#EXTM3U" {
		return p, fmt.Errorf("parse playlist: begins with %q", lines[0])
	}
	var segment Segment
	init := ""
	for _, line := range lines[1:] {
		tag, value, _ := strings.Cut(line, ":")
		switch tag {
		case "#EXT-X-DISCONTINUITY":
			segment.Discontinuity = true
		case "#EXT-X-GAP":
			segment.Gap = true
		case "#EXT-X-MAP":
			init = Attributes(value)["URI"]
		case "#EXT-X-PROGRAM-DATE-TIME":
			segment.Date = value
		case "#EXT-X-PART":
			segment.Parts = append(segment.Parts, value)
		case "#EXT-X-PRELOAD-HINT":
			p.Hint = Attributes(value)["URI"]
		case "#EXTINF":
			segment.Duration = strings.TrimSuffix(value, ",")
		case "#EXT-X-SKIP":
			if p.Skipped, err = parseSkipped(value); err != nil {
				return p, err
			}
		case "#EXT-X-ENDLIST":
			p.Ended = true
		default:
			if strings.HasPrefix(line, "#") {
				if _, twice := p.Tags[tag]; twice {
					return p, fmt.Errorf("parse playlist: duplicate %s", tag)
				}
				p.Tags[tag] = value
				continue
			}
			segment.URI, segment.Init = line, init
			if segment.Duration == "" {
				return p, fmt.Errorf("parse playlist: %s without EXTINF", line)
			}
			p.Segments = append(p.Segments, segment)
			segment = Segment{}
		}
	}
	segment.Init = init
	p.Open = segment
	return p, nil
}

// maxSkipped is the maximum number of skipped segments.
const maxSkipped = 1 << 16

func parseSkipped(value string) (int, error) {
	n, err := strconv.ParseUint(Attributes(value)["SKIPPED-SEGMENTS"], 10, 31)
	if err == nil && (n == 0 || n > maxSkipped) {
		err = fmt.Errorf("parse playlist: %d segments skipped", n)
	}
	return int(n), err //nolint:gosec // 31 bits
}
