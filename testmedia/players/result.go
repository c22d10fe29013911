//go:build unix

package main

import (
	"fmt"
	"slices"
	"time"
)

// result is what a player made of a scenario.
type result struct {
	before, after time.Duration // latency; the medians of the last seconds before and after
	sync          [2]string     // by how much audio came after video then
	broken        time.Duration // for how long pictures were wrong
	blank         time.Duration // for how long there was none
	still         time.Duration // the longest time for which the picture stood
	gap           time.Duration // the longest time between two samples
	err           error
}

// settled is the time over which a latency is measured.
const settled = 3 * time.Second

// judge summarizes the samples of a player; the push broke at broke.
func judge(rec recording, broke time.Duration) result {
	var r result
	all := rec.samples
	first := slices.IndexFunc(all, func(s sample) bool { return s.right })
	if first < 0 {
		return result{err: fmt.Errorf("no right picture of %d", len(all))}
	}
	end := all[len(all)-1].at
	r.before = latency(all, broke-settled, broke)
	r.after = latency(all, end-settled, end)
	r.sync = [2]string{rec.offset(r.before, broke-settled, broke), rec.offset(r.after, end-settled, end)}
	changed := all[first]
	for i := first + 1; i < len(all); i++ {
		s, took := all[i], all[i].at-all[i-1].at
		r.gap = max(r.gap, took)
		switch {
		case s.at < broke-settled: // the player begins
			changed = s
			continue
		case s.blank:
			r.blank += took
		case !s.right:
			r.broken += took
		case s.stamp != changed.stamp:
			r.still, changed = max(r.still, s.at-changed.at), s
		}
	}
	r.still = max(r.still, end-changed.at)
	return r
}

// latency returns the median age of the right pictures shown between two times; -1
// without any.
func latency(all []sample, from, to time.Duration) time.Duration {
	var ages []time.Duration
	for _, s := range all {
		if s.right && s.at >= from && s.at < to {
			ages = append(ages, s.at-s.stamp)
		}
	}
	if len(ages) == 0 {
		return -1
	}
	slices.Sort(ages)
	return ages[len(ages)/2]
}

// tooSlow is the time between two samples from which on the machine was too slow to judge a player
// by them.
const tooSlow = 500 * time.Millisecond

func (r result) row() string {
	if r.err != nil {
		return r.err.Error() + " | | | | "
	}
	if r.gap >= tooSlow {
		return fmt.Sprintf("the machine was busy for %s s | | | | ", seconds(r.gap))
	}
	return fmt.Sprintf("%s → %s | %s → %s | %s | %s | %s", seconds(r.before), seconds(r.after), r.sync[0], r.sync[1], seconds(r.broken), seconds(r.blank), seconds(r.still))
}

func seconds(d time.Duration) string {
	if d < 0 {
		return "none"
	}
	return fmt.Sprintf("%.1f", d.Seconds())
}

// offset returns by how many milliseconds audio came after video between two times, given the
// latency of video.
func (r recording) offset(latency, from, to time.Duration) string {
	d, ok := offset(r.tones, latency, from, to)
	if !ok || latency < 0 {
		return "none"
	}
	return fmt.Sprint(d.Milliseconds())
}
