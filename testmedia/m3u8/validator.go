package m3u8

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
)

// Validator holds the playlists that one viewer sees, one after the other, against the rules of
// RFC 8216 and its second edition.
type Validator struct {
	Jumps bool // sequences may go ahead: the relay was started anew
	// Uneven is how many parts may be too short: where the rate of pictures changes and there is
	// no sound, one that was begun cannot be filled.
	Uneven int

	// What was told, for tests to look at.
	Target, PartTarget string // of durations, in seconds
	Segments           map[uint64]Segment
	Short              []string // parts below 85 % of the target that are not the last of a segment

	msn, breaks uint64
	last        uint64 // the newest complete segment
	any, ended  bool
	owners      map[string]string // what a URI was said to be
	hint        string            // the part that was said to come
}

// NewValidator has seen nothing.
func NewValidator() *Validator {
	return &Validator{Segments: map[uint64]Segment{}, owners: map[string]string{}}
}

// Add takes the next playlist. The error is the first rule that it breaks.
func (v *Validator) Add(text string) error {
	p, err := Parse(text)
	if err != nil {
		return err
	}
	if err := v.head(p); err != nil {
		return err
	}
	msn := p.Sequence()
	breaks, _ := strconv.ParseUint(p.Tags["#EXT-X-DISCONTINUITY-SEQUENCE"], 10, 32)
	last := msn + uint64(p.Skipped+len(p.Segments)) - 1 //nolint:gosec // not negative
	if err := v.sequences(p, msn, breaks, last); err != nil {
		return err
	}
	jumped := v.any && msn > v.last+1
	if jumped && breaks <= v.breaks {
		return fmt.Errorf("another run with the same discontinuity sequence")
	}
	v.any, v.msn, v.breaks, v.last, v.ended = true, msn, breaks, last, p.Ended
	if jumped {
		v.hint = ""
	}
	if err := v.body(p, msn, breaks); err != nil {
		return err
	}
	if !p.Ended && p.Tags["#EXT-X-PART-INF"] != "" && p.Hint == "" {
		return fmt.Errorf("no hint of what comes next")
	}
	v.hint = p.Hint
	return nil
}

// mostBreaks is how high a discontinuity sequence may be: players such as hls.js keep an array of
// that length, and go through it at each reload.
const mostBreaks = 1 << 20

// sequences checks that nothing goes back.
func (v *Validator) sequences(p Playlist, msn, breaks, last uint64) error {
	switch {
	case msn == 0 || breaks == 0:
		return fmt.Errorf("sequences %d and %d", msn, breaks)
	case breaks > mostBreaks:
		return fmt.Errorf("the discontinuity sequence is %d, more than players can bear", breaks)
	case v.any && (msn < v.msn || breaks < v.breaks || last < v.last):
		return fmt.Errorf("sequences %d, %d and last %d went back: they were %d, %d, %d", msn, breaks, last, v.msn, v.breaks, v.last)
	case v.any && msn > v.last+1 && !v.Jumps:
		return fmt.Errorf("from segment %d to %d", v.last, msn)
	case v.ended && !v.Jumps && !p.Ended:
		return fmt.Errorf("goes on after its end")
	}
	return nil
}

// head checks the tags of the whole.
func (v *Validator) head(p Playlist) error {
	target, part := p.Tags["#EXT-X-TARGETDURATION"], Attributes(p.Tags["#EXT-X-PART-INF"])["PART-TARGET"]
	if v.any && !v.Jumps && (target != v.Target || part != v.PartTarget && part != "") {
		return fmt.Errorf("target durations %s, %s were %s, %s", target, part, v.Target, v.PartTarget)
	}
	v.Target = target
	control := Attributes(p.Tags["#EXT-X-SERVER-CONTROL"])
	if Seconds(control["HOLD-BACK"]) < 3*Seconds(target) || control["CAN-BLOCK-RELOAD"] != "YES" {
		return fmt.Errorf("server control %v with a target of %s", control, target)
	}
	if part != "" {
		v.PartTarget = part
		if Seconds(control["PART-HOLD-BACK"]) < 3*Seconds(part) {
			return fmt.Errorf("PART-HOLD-BACK %s with parts of %s", control["PART-HOLD-BACK"], part)
		}
	}
	if until := control["CAN-SKIP-UNTIL"]; until != "" && Seconds(until) < 6*Seconds(target) {
		return fmt.Errorf("CAN-SKIP-UNTIL %s", until)
	}
	if p.Skipped > 0 && p.Tags["#EXT-X-VERSION"] != "9" {
		return fmt.Errorf("EXT-X-SKIP in version %s", p.Tags["#EXT-X-VERSION"])
	}
	return nil
}

// body checks the segments and parts.
func (v *Validator) body(p Playlist, msn, breaks uint64) error {
	var before Segment
	seq := msn
	for range p.Skipped {
		s, ok := v.Segments[seq]
		if !ok {
			return fmt.Errorf("segment %d is skipped, and was never told", seq)
		}
		if s.Discontinuity {
			breaks++
		}
		before = s
		seq++
	}
	for i, s := range append(p.Segments, p.Open) {
		complete := i < len(p.Segments)
		if s.Discontinuity {
			breaks++
		}
		s.breaks = breaks
		if s.Init == "" && p.Skipped > 0 {
			s.Init = before.Init
		}
		if complete {
			if err := v.segment(seq, s); err != nil {
				return err
			}
		}
		if len(s.Parts) > 0 || complete {
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
func (v *Validator) segment(seq uint64, s Segment) error {
	if math.Round(Seconds(s.Duration)) > Seconds(v.Target) || !(Seconds(s.Duration) > 0) {
		return fmt.Errorf("segment %d of %s s, the target is %s", seq, s.Duration, v.Target)
	}
	if was, ok := v.Segments[seq]; ok && (was.URI != s.URI || was.Init != s.Init || was.Duration != s.Duration || was.Date != s.Date || was.breaks != s.breaks || was.Discontinuity != s.Discontinuity) {
		return fmt.Errorf("segment %d changed from %+v to %+v", seq, was, s)
	}
	if is, ok := v.owners[s.URI]; ok && is != fmt.Sprint(seq) {
		return fmt.Errorf("%s is segment %d and was %s", s.URI, seq, is)
	}
	v.owners[s.URI] = fmt.Sprint(seq)
	if was := v.Segments[seq]; len(s.Parts) == 0 {
		s.Parts = was.Parts
	}
	v.Segments[seq] = s
	return nil
}

// follows checks that a segment continues the one before.
func (v *Validator) follows(seq uint64, before, s Segment) error {
	date, err := time.Parse(time.RFC3339, s.Date)
	if err != nil || s.Init == "" {
		return fmt.Errorf("segment %d: date %q, init section %q", seq, s.Date, s.Init)
	}
	if before.Date == "" || s.Discontinuity {
		return nil
	}
	if before.Init != s.Init {
		return fmt.Errorf("segment %d has another init section and no discontinuity", seq)
	}
	was, _ := time.Parse(time.RFC3339, before.Date)
	if off := date.Sub(was).Seconds() - Seconds(before.Duration); math.Abs(off) > 0.025 {
		return fmt.Errorf("segment %d begins %.3f s from where the one before ends", seq, off)
	}
	return nil
}

func (v *Validator) checkParts(seq uint64, s Segment, complete bool) error {
	sum := 0.0
	for i, text := range s.Parts {
		a := Attributes(text)
		d := Seconds(a["DURATION"])
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
		if d > Seconds(v.PartTarget)+1e-6 || !(d > 0) {
			return fmt.Errorf("part %s of %v s, the target is %s", key, d, v.PartTarget)
		}
		if d < 0.85*Seconds(v.PartTarget)-1e-6 && i < len(s.Parts)-1 && !slices.Contains(v.Short, text) {
			if v.Short = append(v.Short, text); len(v.Short) > v.Uneven {
				return fmt.Errorf("parts %v are too short of a target of %s", v.Short, v.PartTarget)
			}
		}
		sum += d
	}
	if complete && len(s.Parts) > 0 && math.Abs(sum-Seconds(s.Duration)) > 0.001 {
		return fmt.Errorf("segment %d of %s s has parts of %.5f s", seq, s.Duration, sum)
	}
	return nil
}

// Last is the number of the newest complete segment.
func (v *Validator) Last() uint64 { return v.last }

// Discontinuities is how many of the segments that were told of stand behind one.
func (v *Validator) Discontinuities() (n int) {
	for _, s := range v.Segments {
		if s.Discontinuity {
			n++
		}
	}
	return n
}
