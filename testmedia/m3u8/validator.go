package m3u8

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
)

// Validator validates the sequence of playlists that one player sees against RFC 8216 and its second
// edition.
type Validator struct {
	AllowJumps bool // sequence numbers may jump ahead, as after a restart of the relay
	// MaxShort is how many parts may be too short. Where the frame rate changes in a stream without audio,
	// a part that has been started cannot be filled.
	MaxShort int

	// What the playlists contained, for tests to inspect.
	Target, PartTarget string // of durations, in seconds
	Segments           map[uint64]Segment
	Short              []string // parts shorter than 85 % of the target that are not the last of a segment

	msn, breaks    uint64
	last           uint64 // number of the newest complete segment
	started, ended bool
	uses           map[string]string // the segment or part that each URI stands for
	hint           string            // URI of the preload hint
}

// NewValidator returns a Validator that has not seen a playlist.
func NewValidator() *Validator {
	return &Validator{Segments: map[uint64]Segment{}, uses: map[string]string{}}
}

// Add validates the next playlist. It returns an error for the first violation.
func (v *Validator) Add(text string) error {
	p, err := Parse(text)
	if err != nil {
		return err
	}
	if err := v.checkHeader(p); err != nil {
		return err
	}
	msn := p.Sequence()
	breaks, _ := strconv.ParseUint(p.Tags["#EXT-X-DISCONTINUITY-SEQUENCE"], 10, 32)
	last := msn + uint64(p.Skipped+len(p.Segments)) - 1 //nolint:gosec // not negative
	if err := v.checkSequences(p, msn, breaks, last); err != nil {
		return err
	}
	jumped := v.started && msn > v.last+1
	if jumped && breaks <= v.breaks {
		return fmt.Errorf("new run with the same discontinuity sequence")
	}
	v.started, v.msn, v.breaks, v.last, v.ended = true, msn, breaks, last, p.Ended
	if jumped {
		v.hint = ""
	}
	if err := v.checkSegments(p, msn, breaks); err != nil {
		return err
	}
	if !p.Ended && p.Tags["#EXT-X-PART-INF"] != "" && p.Hint == "" {
		return fmt.Errorf("no preload hint")
	}
	v.hint = p.Hint
	return nil
}

// maxDiscontinuities is the maximum discontinuity sequence number. Players such as hls.js keep an array of
// that length and scan it at each reload.
const maxDiscontinuities = 1 << 20

// checkSequences checks that no sequence number decreases.
func (v *Validator) checkSequences(p Playlist, msn, breaks, last uint64) error {
	switch {
	case msn == 0 || breaks == 0:
		return fmt.Errorf("media sequence %d and discontinuity sequence %d, want both above 0", msn, breaks)
	case breaks > maxDiscontinuities:
		return fmt.Errorf("discontinuity sequence %d is too high for players", breaks)
	case v.started && (msn < v.msn || breaks < v.breaks || last < v.last):
		return fmt.Errorf("sequences %d, %d and last segment %d went back from %d, %d and %d", msn, breaks, last, v.msn, v.breaks, v.last)
	case v.started && msn > v.last+1 && !v.AllowJumps:
		return fmt.Errorf("jump from segment %d to %d", v.last, msn)
	case v.ended && !v.AllowJumps && !p.Ended:
		return fmt.Errorf("playlist continues after EXT-X-ENDLIST")
	}
	return nil
}

// checkHeader checks the tags that apply to the whole playlist.
func (v *Validator) checkHeader(p Playlist) error {
	target, part := p.Tags["#EXT-X-TARGETDURATION"], Attributes(p.Tags["#EXT-X-PART-INF"])["PART-TARGET"]
	if v.started && !v.AllowJumps && (target != v.Target || part != v.PartTarget && part != "") {
		return fmt.Errorf("target durations %s and %s changed from %s and %s", target, part, v.Target, v.PartTarget)
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

// checkSegments checks segments and parts.
func (v *Validator) checkSegments(p Playlist, msn, breaks uint64) error {
	var before Segment
	seq := msn
	for range p.Skipped {
		s, ok := v.Segments[seq]
		if !ok {
			return fmt.Errorf("skipped segment %d was never listed", seq)
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
			if err := v.checkSegment(seq, s); err != nil {
				return err
			}
		}
		if len(s.Parts) > 0 || complete {
			if err := v.checkContinuity(seq, before, s); err != nil {
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

// checkSegment checks that a segment does not change once it is listed.
func (v *Validator) checkSegment(seq uint64, s Segment) error {
	if math.Round(Seconds(s.Duration)) > Seconds(v.Target) || !(Seconds(s.Duration) > 0) {
		return fmt.Errorf("segment %d lasts %s s, the target is %s", seq, s.Duration, v.Target)
	}
	if was, ok := v.Segments[seq]; ok && (was.URI != s.URI || was.Init != s.Init || was.Duration != s.Duration || was.Date != s.Date || was.breaks != s.breaks || was.Discontinuity != s.Discontinuity) {
		return fmt.Errorf("segment %d changed from %+v to %+v", seq, was, s)
	}
	if is, ok := v.uses[s.URI]; ok && is != fmt.Sprint(seq) {
		return fmt.Errorf("%s is segment %d and was %s", s.URI, seq, is)
	}
	v.uses[s.URI] = fmt.Sprint(seq)
	if was := v.Segments[seq]; len(s.Parts) == 0 {
		s.Parts = was.Parts
	}
	v.Segments[seq] = s
	return nil
}

// checkContinuity checks that a segment continues the one before.
func (v *Validator) checkContinuity(seq uint64, before, s Segment) error {
	date, err := time.Parse(time.RFC3339, s.Date)
	if err != nil || s.Init == "" {
		return fmt.Errorf("segment %d has date %q and init section %q", seq, s.Date, s.Init)
	}
	if before.Date == "" || s.Discontinuity {
		return nil
	}
	if before.Init != s.Init {
		return fmt.Errorf("segment %d has another init section but no discontinuity", seq)
	}
	was, _ := time.Parse(time.RFC3339, before.Date)
	if off := date.Sub(was).Seconds() - Seconds(before.Duration); math.Abs(off) > 0.025 {
		return fmt.Errorf("segment %d begins %.3f s from the end of the one before", seq, off)
	}
	return nil
}

func (v *Validator) checkParts(seq uint64, s Segment, complete bool) error {
	sum := 0.0
	for i, text := range s.Parts {
		a := Attributes(text)
		d := Seconds(a["DURATION"])
		key := fmt.Sprintf("%d.%d", seq, i)
		if is, ok := v.uses[a["URI"]]; ok && is != key {
			return fmt.Errorf("%s is part %s and was %s", a["URI"], key, is)
		}
		if _, seen := v.uses[a["URI"]]; !seen && v.hint != "" {
			if a["URI"] != v.hint {
				return fmt.Errorf("part %s does not match the preload hint %s", a["URI"], v.hint)
			}
			v.hint = ""
		}
		v.uses[a["URI"]] = key
		if d > Seconds(v.PartTarget)+1e-6 || !(d > 0) {
			return fmt.Errorf("part %s lasts %v s, the target is %s", key, d, v.PartTarget)
		}
		if d < 0.85*Seconds(v.PartTarget)-1e-6 && i < len(s.Parts)-1 && !slices.Contains(v.Short, text) {
			if v.Short = append(v.Short, text); len(v.Short) > v.MaxShort {
				return fmt.Errorf("parts %v are too short for a target of %s", v.Short, v.PartTarget)
			}
		}
		sum += d
	}
	if complete && len(s.Parts) > 0 && math.Abs(sum-Seconds(s.Duration)) > 0.001 {
		return fmt.Errorf("segment %d of %s s has parts of %.5f s", seq, s.Duration, sum)
	}
	return nil
}

// Last returns the number of the newest complete segment.
func (v *Validator) Last() uint64 { return v.last }

// Discontinuities returns how many of the listed segments follow a discontinuity.
func (v *Validator) Discontinuities() (n int) {
	for _, s := range v.Segments {
		if s.Discontinuity {
			n++
		}
	}
	return n
}
