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

// What silence: auto goes by. A steady push gets its verdict after a second.
const (
	// floor is how much longer than its rhythm explains any publisher may be silent.
	floor = time.Second
	// mostExtra bounds what the transport's round trip adds to that.
	mostExtra = 400 * time.Millisecond
	// A session of which only a few packets have come shows no rhythm yet.
	fewPackets = 10
	apart      = 5 * time.Millisecond // packets that arrive closer together came in one burst
	fewFloor   = 3 * time.Second
	// One track may be silent for longer: a muted microphone, a still picture.
	trackFloor = 3 * time.Second
)

// Watchdog watches one publisher session.
type Watchdog struct {
	cfg     Config
	begun   time.Time
	first   time.Time // arrival of the first media; zero before
	packets int       // of media, counted up to fewPackets; a burst counts once
	counted time.Time // when the last of them arrived
	any     rhythm
	tracks  [packetbuf.NumTracks]rhythm
	extra   time.Duration // for the transport's round trip
	resumed time.Time     // when media last came after none of any track had come for pause
}

// pause is how long all tracks must be silent together for none to count as silent by itself.
const pause = 500 * time.Millisecond

// New watches a session that was accepted at now.
func New(cfg Config, now time.Time) *Watchdog {
	return &Watchdog{cfg: cfg, begun: now}
}

// SetConfig changes the limits from now on.
func (w *Watchdog) SetConfig(cfg Config) { w.cfg = cfg }

// RoundTrip sets the transport's smoothed round-trip time and its mean deviation: with
// silence: auto media may be later by them, within bounds.
func (w *Watchdog) RoundTrip(srtt, rttvar time.Duration) {
	w.extra = min(srtt+4*rttvar, mostExtra)
}

// Media notes that a media packet of a track arrived.
func (w *Watchdog) Media(now time.Time, tr packetbuf.Track) {
	if w.first.IsZero() {
		w.first = now
	}
	if w.packets > 0 && now.Sub(w.any.last) >= pause {
		w.resumed = now
	}
	if w.packets < fewPackets && now.Sub(w.counted) >= apart {
		w.packets++
		w.counted = now
	}
	w.any.arrive(now)
	w.tracks[tr].arrive(now)
}

// silence returns how long after the last arrival the verdict falls.
func (w *Watchdog) silence() time.Duration {
	if w.cfg.Silence > 0 {
		return w.cfg.Silence
	}
	if w.packets < fewPackets {
		return max(fewFloor, floor+w.any.regular()+w.extra)
	}
	return floor + w.any.regular() + w.extra
}

// lateness returns how long after the last arrival the publisher is suspect.
func (w *Watchdog) lateness() time.Duration {
	return min(w.silence()/2, floor/4+2*w.any.peak()+w.extra)
}

// trackSilence is silence for one track of several.
func (w *Watchdog) trackSilence(tr packetbuf.Track) time.Duration {
	return max(w.cfg.Silence, trackFloor+w.tracks[tr].regular()+w.extra)
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

// TrackSilent reports whether a track that has begun is silent while another goes on.
func (w *Watchdog) TrackSilent(now time.Time, tr packetbuf.Track) bool {
	return !w.tracks[tr].last.IsZero() && w.Check(now) == Fine && !now.Before(w.trackDeadline(tr))
}

// trackDeadline returns when a track counts as silent if nothing of it arrives while another
// goes on. A silence of the whole session is not its own.
func (w *Watchdog) trackDeadline(tr packetbuf.Track) time.Time {
	from := w.tracks[tr].last
	if w.resumed.After(from) {
		from = w.resumed
	}
	return from.Add(w.trackSilence(tr))
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
			consider(w.trackDeadline(packetbuf.Track(tr))) //nolint:gosec // a small index
		}
	}
	return next
}

// Last returns when media last arrived; zero before the first.
func (w *Watchdog) Last() time.Time { return w.any.last }

// Quiet returns the time since the last media; 0 before the first.
func (w *Watchdog) Quiet(now time.Time) time.Duration {
	if w.first.IsZero() {
		return 0
	}
	return now.Sub(w.any.last)
}

// Gap returns the longest gap between arrivals in the last 40 seconds.
func (w *Watchdog) Gap() time.Duration { return w.any.peak() }
