//go:build unix

package main

import (
	"fmt"
	"slices"
	"time"
)

// result is the result of a player in a scenario.
type result struct {
	before, after time.Duration // median latency in the last seconds before the break and of the run
	avOffset      [2]string     // delay of audio behind video at the same times
	corrupt       time.Duration // time with corrupt frames
	blank         time.Duration // time without a frame
	frozen        time.Duration // longest time without a new frame
	gap           time.Duration // longest time between two samples
	err           error
}

// latencyWindow is the time over which latency is measured.
const latencyWindow = 3 * time.Second

// evaluate summarizes the samples of a player for a push that broke at broke.
func evaluate(rec recording, broke time.Duration) result {
	var r result
	all := rec.samples
	first := slices.IndexFunc(all, func(s sample) bool { return s.correct })
	if first < 0 {
		return result{err: fmt.Errorf("evaluate: no correct frame in %d samples", len(all))}
	}
	end := all[len(all)-1].at
	r.before = latency(all, broke-latencyWindow, broke)
	r.after = latency(all, end-latencyWindow, end)
	r.avOffset = [2]string{rec.avOffset(r.before, broke-latencyWindow, broke), rec.avOffset(r.after, end-latencyWindow, end)}
	changed := all[first]
	for i := first + 1; i < len(all); i++ {
		s, took := all[i], all[i].at-all[i-1].at
		r.gap = max(r.gap, took)
		switch {
		case s.at < broke-latencyWindow: // the player is starting
			changed = s
			continue
		case s.blank:
			r.blank += took
		case !s.correct:
			r.corrupt += took
		case s.stamp != changed.stamp:
			r.frozen, changed = max(r.frozen, s.at-changed.at), s
		}
	}
	r.frozen = max(r.frozen, end-changed.at)
	return r
}

// latency returns the median age of the correct frames shown between two times, or -1 without any.
func latency(all []sample, from, to time.Duration) time.Duration {
	var ages []time.Duration
	for _, s := range all {
		if s.correct && s.at >= from && s.at < to {
			ages = append(ages, s.at-s.stamp)
		}
	}
	if len(ages) == 0 {
		return -1
	}
	slices.Sort(ages)
	return ages[len(ages)/2]
}

// maxSampleGap is the time between two samples from which on the machine was too slow to evaluate a
// player.
const maxSampleGap = 500 * time.Millisecond

func (r result) row() string {
	if r.err != nil {
		return r.err.Error() + " | | | | "
	}
	if r.gap >= maxSampleGap {
		return fmt.Sprintf("the machine was busy for %s s | | | | ", seconds(r.gap))
	}
	return fmt.Sprintf("%s → %s | %s → %s | %s | %s | %s", seconds(r.before), seconds(r.after), r.avOffset[0], r.avOffset[1], seconds(r.corrupt), seconds(r.blank), seconds(r.frozen))
}

func seconds(d time.Duration) string {
	if d < 0 {
		return "none"
	}
	return fmt.Sprintf("%.1f", d.Seconds())
}

// avOffset returns the delay of audio behind video between two times in milliseconds, given the latency of
// video.
func (r recording) avOffset(latency, from, to time.Duration) string {
	d, ok := offset(r.tones, latency, from, to)
	if !ok || latency < 0 {
		return "none"
	}
	return fmt.Sprint(d.Milliseconds())
}
