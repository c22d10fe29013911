package hls

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// validator holds the playlists that one viewer sees, one after the other, against the rules of
// RFC 8216 and its second edition.
type validator struct {
	jumps bool // sequences may go ahead: the relay was started anew

	target, partTarget string
	msn, breaks        uint64
	last               uint64 // the newest complete segment
	any, ended         bool
	segments           map[uint64]told
	owners             map[string]string // what a URI was said to be
	hint               string            // the part that was said to come
	short              []string          // parts below 85 % of the target that are not the last of a segment
}

// told is what a playlist says of a segment.
type told struct {
	uri, init, duration, date string
	breaks                    uint64
	parts                     []string
	tag                       bool
}

func newValidator() *validator {
	return &validator{segments: map[uint64]told{}, owners: map[string]string{}}
}

var attribute = regexp.MustCompile(`([A-Z0-9-]+)=("[^"]*"|[^,]*)`)

func attributes(s string) map[string]string {
	out := map[string]string{}
	for _, m := range attribute.FindAllStringSubmatch(s, -1) {
		out[m[1]] = strings.Trim(m[2], `"`)
	}
	return out
}

func number(s string) float64 {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return math.NaN()
	}
	return v
}

// parsed is one playlist.
type parsed struct {
	tags     map[string]string // those of the whole playlist
	segments []told
	open     told // parts of the segment that is not complete
	hint     string
	skipped  int
	ended    bool
}

func parsePlaylist(text string) (p parsed, err error) {
	p.tags = map[string]string{}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if lines[0] != "#EXTM3U" {
		return p, fmt.Errorf("begins with %q", lines[0])
	}
	var now told
	init := ""
	for _, line := range lines[1:] {
		tag, value, _ := strings.Cut(line, ":")
		switch tag {
		case "#EXT-X-DISCONTINUITY":
			now.tag = true
		case "#EXT-X-MAP":
			init = attributes(value)["URI"]
		case "#EXT-X-PROGRAM-DATE-TIME":
			now.date = value
		case "#EXT-X-PART":
			now.parts = append(now.parts, value)
		case "#EXT-X-PRELOAD-HINT":
			p.hint = attributes(value)["URI"]
		case "#EXTINF":
			now.duration = strings.TrimSuffix(value, ",")
		case "#EXT-X-SKIP":
			p.skipped, err = strconv.Atoi(attributes(value)["SKIPPED-SEGMENTS"])
		case "#EXT-X-ENDLIST":
			p.ended = true
		default:
			if strings.HasPrefix(line, "#") {
				if _, twice := p.tags[tag]; twice {
					return p, fmt.Errorf("%s twice", tag)
				}
				p.tags[tag] = value
				continue
			}
			now.uri, now.init = line, init
			if now.duration == "" {
				return p, fmt.Errorf("%s without EXTINF", line)
			}
			p.segments = append(p.segments, now)
			now = told{}
		}
	}
	now.init = init
	p.open = now
	return p, err
}

// add takes the next playlist.
func (v *validator) add(text string) error {
	p, err := parsePlaylist(text)
	if err != nil {
		return err
	}
	if err := v.head(p); err != nil {
		return err
	}
	msn, _ := strconv.ParseUint(p.tags["#EXT-X-MEDIA-SEQUENCE"], 10, 32)
	breaks, _ := strconv.ParseUint(p.tags["#EXT-X-DISCONTINUITY-SEQUENCE"], 10, 32)
	last := msn + uint64(p.skipped+len(p.segments)) - 1
	switch {
	case msn == 0 || breaks == 0:
		return fmt.Errorf("sequences %d and %d", msn, breaks)
	case v.any && (msn < v.msn || breaks < v.breaks || last < v.last):
		return fmt.Errorf("sequences %d, %d and last %d went back: they were %d, %d, %d", msn, breaks, last, v.msn, v.breaks, v.last)
	case v.any && msn > v.last+1 && !v.jumps:
		return fmt.Errorf("from segment %d to %d", v.last, msn)
	case v.ended && !v.jumps && !p.ended:
		return fmt.Errorf("goes on after its end")
	}
	jumped := v.any && msn > v.last+1
	if jumped && breaks <= v.breaks {
		return fmt.Errorf("another run with the same discontinuity sequence")
	}
	v.any, v.msn, v.breaks, v.last, v.ended = true, msn, breaks, last, p.ended
	if jumped {
		v.hint = ""
	}
	if err := v.body(p, msn, breaks); err != nil {
		return err
	}
	if !p.ended && p.tags["#EXT-X-PART-INF"] != "" && p.hint == "" {
		return fmt.Errorf("no hint of what comes next")
	}
	v.hint = p.hint
	return nil
}

// head checks the tags of the whole.
func (v *validator) head(p parsed) error {
	target, part := p.tags["#EXT-X-TARGETDURATION"], attributes(p.tags["#EXT-X-PART-INF"])["PART-TARGET"]
	if v.any && !v.jumps && (target != v.target || part != v.partTarget && part != "") {
		return fmt.Errorf("target durations %s, %s were %s, %s", target, part, v.target, v.partTarget)
	}
	v.target = target
	control := attributes(p.tags["#EXT-X-SERVER-CONTROL"])
	if number(control["HOLD-BACK"]) < 3*number(target) || control["CAN-BLOCK-RELOAD"] != "YES" {
		return fmt.Errorf("server control %v with a target of %s", control, target)
	}
	if part != "" {
		v.partTarget = part
		if number(control["PART-HOLD-BACK"]) < 3*number(part) {
			return fmt.Errorf("PART-HOLD-BACK %s with parts of %s", control["PART-HOLD-BACK"], part)
		}
	}
	if until := control["CAN-SKIP-UNTIL"]; until != "" && number(until) < 6*number(target) {
		return fmt.Errorf("CAN-SKIP-UNTIL %s", until)
	}
	if p.skipped > 0 && p.tags["#EXT-X-VERSION"] != "9" {
		return fmt.Errorf("EXT-X-SKIP in version %s", p.tags["#EXT-X-VERSION"])
	}
	return nil
}

// body checks the segments and parts.
func (v *validator) body(p parsed, msn, breaks uint64) error {
	var before told
	seq := msn
	for range p.skipped {
		s, ok := v.segments[seq]
		if !ok {
			return fmt.Errorf("segment %d is skipped, and was never told", seq)
		}
		if s.tag {
			breaks++
		}
		before = s
		seq++
	}
	for i, s := range append(p.segments, p.open) {
		complete := i < len(p.segments)
		if s.tag {
			breaks++
		}
		s.breaks = breaks
		if s.init == "" && p.skipped > 0 {
			s.init = before.init
		}
		if complete {
			if err := v.segment(seq, s); err != nil {
				return err
			}
		}
		if len(s.parts) > 0 || complete {
			if err := v.follows(seq, before, s); err != nil {
				return err
			}
		}
		if err := v.checkParts(seq, s, complete); err != nil {
			return err
		}
		before = s
		seq++
	}
	return nil
}

// segment checks that what is told of a segment stays.
func (v *validator) segment(seq uint64, s told) error {
	if math.Round(number(s.duration)) > number(v.target) || !(number(s.duration) > 0) {
		return fmt.Errorf("segment %d of %s s, the target is %s", seq, s.duration, v.target)
	}
	if was, ok := v.segments[seq]; ok && (was.uri != s.uri || was.init != s.init || was.duration != s.duration || was.date != s.date || was.breaks != s.breaks || was.tag != s.tag) {
		return fmt.Errorf("segment %d changed from %+v to %+v", seq, was, s)
	}
	if is, ok := v.owners[s.uri]; ok && is != fmt.Sprint(seq) {
		return fmt.Errorf("%s is segment %d and was %s", s.uri, seq, is)
	}
	v.owners[s.uri] = fmt.Sprint(seq)
	if was := v.segments[seq]; len(s.parts) == 0 {
		s.parts = was.parts
	}
	v.segments[seq] = s
	return nil
}

// follows checks that a segment continues the one before.
func (v *validator) follows(seq uint64, before, s told) error {
	date, err := time.Parse(time.RFC3339, s.date)
	if err != nil || s.init == "" {
		return fmt.Errorf("segment %d: date %q, init section %q", seq, s.date, s.init)
	}
	if before.date == "" || s.tag {
		return nil
	}
	if before.init != s.init {
		return fmt.Errorf("segment %d has another init section and no discontinuity", seq)
	}
	was, _ := time.Parse(time.RFC3339, before.date)
	if off := date.Sub(was).Seconds() - number(before.duration); math.Abs(off) > 0.025 {
		return fmt.Errorf("segment %d begins %.3f s from where the one before ends", seq, off)
	}
	return nil
}

func (v *validator) checkParts(seq uint64, s told, complete bool) error {
	sum := 0.0
	for i, text := range s.parts {
		a := attributes(text)
		d := number(a["DURATION"])
		key := fmt.Sprintf("%d.%d", seq, i)
		if is, ok := v.owners[a["URI"]]; ok && is != key {
			return fmt.Errorf("%s is part %s and was %s", a["URI"], key, is)
		}
		if _, seen := v.owners[a["URI"]]; !seen && v.hint != "" {
			if a["URI"] != v.hint {
				return fmt.Errorf("part %s came, %s was said to", a["URI"], v.hint)
			}
			v.hint = ""
		}
		v.owners[a["URI"]] = key
		if d > number(v.partTarget)+1e-6 || !(d > 0) {
			return fmt.Errorf("part %s of %v s, the target is %s", key, d, v.partTarget)
		}
		if d < 0.85*number(v.partTarget) && i < len(s.parts)-1 {
			v.short = append(v.short, text)
		}
		sum += d
	}
	if complete && len(s.parts) > 0 && math.Abs(sum-number(s.duration)) > 0.001 {
		return fmt.Errorf("segment %d of %s s has parts of %.5f s", seq, s.duration, sum)
	}
	return nil
}
