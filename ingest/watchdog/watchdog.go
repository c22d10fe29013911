// Package watchdog judges from arrivals alone whether a publisher is still there: never any
// media, media later than its own rhythm explains, or none for so long that the push
// counts as broken although its socket is open.
//
// It is pure: time is an argument, and Next says when to ask again.
package watchdog

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// Verdict is what the arrivals say about a publisher.
type Verdict uint8

const (
	Waiting Verdict = iota // no media yet, within its time
	Fine
	Late   // later than the rhythm explains; nothing is decided
	Silent // broken
	Never  // no media within the time for it
)

func (v Verdict) String() string {
	return [...]string{"waiting", "fine", "late", "silent", "never"}[v]
}

// Config is what an operator may set.
type Config struct {
	// Silence is how long without media is a break; 0 judges by the publisher's rhythm.
	Silence time.Duration
	// FirstMedia is how long a publisher may take before its first media packet.
	FirstMedia time.Duration
}

// What silence: auto goes by. A steady push at 30 fps gets a verdict after about 1.2 s.
const (
	floor = time.Second // what even the steadiest publisher is given

	ceiling   = 20 * time.Second // what even the most erratic is given
	slowStart = 3 * time.Second  // how long a session counts as only begun; it is given as much on top
	// One track may be quiet for longer: a muted microphone, a still picture.
	trackFloor   = 3 * time.Second
	trackCeiling = 20 * time.Second
)

// Watchdog watches one publisher session.
type Watchdog struct {
	cfg      Config
	begun    time.Time
	first    time.Time // arrival of the first media; zero before
	any      rhythm
	tracks   [packetbuf.NumTracks]rhythm
	extra    time.Duration // for the transport's round trip
	lastMiss time.Time     // when media last came after a Silent verdict
}

// New watches a session that was accepted at now.
func New(cfg Config, now time.Time) *Watchdog {
	return &Watchdog{cfg: cfg, begun: now}
}

// SetConfig changes the limits from now on.
func (w *Watchdog) SetConfig(cfg Config) { w.cfg = cfg }

// RoundTrip says how long the transport takes and how much that varies: media may be later
// by it. It is used for silence: auto only.
func (w *Watchdog) RoundTrip(srtt, rttvar time.Duration) {
	w.extra = min(srtt+4*rttvar, ceiling/2)
}

// Media notes that a media packet of a track arrived.
func (w *Watchdog) Media(now time.Time, tr packetbuf.Track) {
	if w.first.IsZero() {
		w.first = now
	}
	w.learn(now)
	w.tracks[tr].arrive(now, ceiling)
}

// learn notes an arrival of anything. A gap that led to a verdict was a break and tells
// nothing about the rhythm, unless such gaps come again and again: then they are it.
func (w *Watchdog) learn(now time.Time) {
	limit := ceiling
	if !w.any.last.IsZero() && now.Sub(w.any.last) >= w.silence() {
		if w.lastMiss.IsZero() || now.Sub(w.lastMiss) > time.Minute {
			limit = 0
		}
		w.lastMiss = now
	}
	w.any.arrive(now, limit)
}

// silence is how long after the last arrival the verdict falls.
func (w *Watchdog) silence() time.Duration {
	if w.cfg.Silence > 0 {
		return w.cfg.Silence
	}
	limit := floor + w.any.allowance() + w.extra
	if w.any.last.Sub(w.first) < slowStart {
		limit += slowStart
	}
	return min(limit, ceiling)
}

// lateness is how long after the last arrival the publisher is suspect.
func (w *Watchdog) lateness() time.Duration {
	return min(w.silence()/2, floor/4+2*w.any.peak()+w.extra)
}

// trackSilence is the same as silence for one track of several.
func (w *Watchdog) trackSilence(tr packetbuf.Track) time.Duration {
	return max(w.cfg.Silence, min(trackFloor+w.tracks[tr].allowance()+w.extra, trackCeiling))
}

// Check says how the publisher does at now.
func (w *Watchdog) Check(now time.Time) Verdict {
	if w.first.IsZero() {
		if w.cfg.FirstMedia > 0 && now.Sub(w.begun) >= w.cfg.FirstMedia {
			return Never
		}
		return Waiting
	}
	quiet := now.Sub(w.any.last)
	switch {
	case quiet >= w.silence():
		return Silent
	case quiet >= w.lateness():
		return Late
	}
	return Fine
}

// TrackSilent tells whether a track that has begun is silent while another goes on.
func (w *Watchdog) TrackSilent(now time.Time, tr packetbuf.Track) bool {
	r := &w.tracks[tr]
	return !r.last.IsZero() && w.Check(now) == Fine && now.Sub(r.last) >= w.trackSilence(tr)
}

// Next is the next moment after now at which Check or TrackSilent may say something else
// although nothing arrived; zero if there is none.
func (w *Watchdog) Next(now time.Time) time.Time {
	var next time.Time
	consider := func(at time.Time) {
		if at.After(now) && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	if w.first.IsZero() {
		if w.cfg.FirstMedia > 0 {
			consider(w.begun.Add(w.cfg.FirstMedia))
		}
		return next
	}
	consider(w.any.last.Add(w.lateness()))
	consider(w.any.last.Add(w.silence()))
	for tr := range w.tracks {
		if r := &w.tracks[tr]; !r.last.IsZero() {
			consider(r.last.Add(w.trackSilence(packetbuf.Track(tr)))) //nolint:gosec // a small index
		}
	}
	return next
}

// Quiet is how long nothing has come; 0 before the first media.
func (w *Watchdog) Quiet(now time.Time) time.Duration {
	if w.first.IsZero() {
		return 0
	}
	return now.Sub(w.any.last)
}

// Gap is the longest gap between arrivals in the recent past.
func (w *Watchdog) Gap() time.Duration { return w.any.peak() }
