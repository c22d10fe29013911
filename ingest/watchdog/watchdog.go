// Package watchdog judges whether a publisher is still sending, from the arrival times of its
// packets alone. It detects that no media has arrived at all, that media is later than the
// publisher's rhythm explains, and that no media has arrived for so long that the session counts as
// broken although its socket is open.
//
// The package is pure: time is an argument, and Next returns when to check again.
package watchdog

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// Verdict is the state of a publisher, judged by the arrivals of its packets.
type Verdict uint8

const (
	Waiting Verdict = iota // no media yet, within FirstMedia
	Fine
	Late   // later than the rhythm explains, but not yet a break
	Silent // broken
	Never  // no media within FirstMedia
)

func (v Verdict) String() string {
	return [...]string{"waiting", "fine", "late", "silent", "never"}[v]
}

// Config holds the configurable limits.
type Config struct {
	// Silence is the time without media after which the session counts as broken; 0 means that the
	// publisher's rhythm decides.
	Silence time.Duration
	// FirstMedia is how long the first media packet of a publisher may take; 0 means no limit.
	FirstMedia time.Duration
}

// Constants for a Silence of 0 ("silence: auto" in the configuration). A publisher that sends
// steadily counts as silent about a second after it stops.
const (
	// minSilence is how long any publisher may be silent in addition to the gaps of its rhythm.
	minSilence = time.Second
	// maxRTTAllowance bounds the allowance for the transport's round trip.
	maxRTTAllowance = 400 * time.Millisecond
	// A session with fewer than fewPackets packets shows no rhythm yet.
	fewPackets           = 10
	burstSpacing         = 5 * time.Millisecond // packets that arrive closer together belong to one burst
	minSilenceFewPackets = 3 * time.Second
	// A single track may be silent for longer: a muted microphone, a still image.
	minTrackSilence = 3 * time.Second
)

// Watchdog watches one publisher session. It is not safe for concurrent use.
type Watchdog struct {
	cfg          Config
	accepted     time.Time
	first        time.Time // arrival of the first media; zero before
	packets      int       // media packets, counted up to fewPackets; a burst counts once
	counted      time.Time // arrival of the last packet counted
	allTracks    rhythm
	tracks       [packetbuf.NumTracks]rhythm
	rttAllowance time.Duration // allowance for the transport's round trip
	resumed      time.Time     // arrival of the last media after a pause of all tracks
}

// sessionPause is the minimum duration of a pause of all tracks. Such a pause does not count as
// silence of a single track.
const sessionPause = 500 * time.Millisecond

// New returns a Watchdog for a session that was accepted at time now.
func New(cfg Config, now time.Time) *Watchdog {
	return &Watchdog{cfg: cfg, accepted: now}
}

// SetConfig changes the limits.
func (w *Watchdog) SetConfig(cfg Config) { w.cfg = cfg }

// RoundTrip sets the transport's smoothed round-trip time and its mean deviation. With silence: auto
// they extend the allowed silence, within bounds.
func (w *Watchdog) RoundTrip(srtt, rttvar time.Duration) {
	w.rttAllowance = min(srtt+4*rttvar, maxRTTAllowance)
}

// Media records the arrival of a media packet of a track.
func (w *Watchdog) Media(now time.Time, tr packetbuf.Track) {
	if w.first.IsZero() {
		w.first = now
	}
	if w.packets > 0 && now.Sub(w.allTracks.last) >= sessionPause {
		w.resumed = now
	}
	if w.packets < fewPackets && now.Sub(w.counted) >= burstSpacing {
		w.packets++
		w.counted = now
	}
	w.allTracks.recordArrival(now)
	w.tracks[tr].recordArrival(now)
}

// silentAfter returns how long after the last arrival the session counts as silent.
func (w *Watchdog) silentAfter() time.Duration {
	if w.cfg.Silence > 0 {
		return w.cfg.Silence
	}
	if w.packets < fewPackets {
		return max(minSilenceFewPackets, minSilence+w.allTracks.rhythmGap()+w.rttAllowance)
	}
	return minSilence + w.allTracks.rhythmGap() + w.rttAllowance
}

// lateAfter returns how long after the last arrival the session counts as late.
func (w *Watchdog) lateAfter() time.Duration {
	return min(w.silentAfter()/2, minSilence/4+2*w.allTracks.longestGap()+w.rttAllowance)
}

// trackSilentAfter returns how long after its last arrival one track of several counts as silent.
func (w *Watchdog) trackSilentAfter(tr packetbuf.Track) time.Duration {
	return max(w.cfg.Silence, minTrackSilence+w.tracks[tr].rhythmGap()+w.rttAllowance)
}

// Check returns the verdict at time now.
func (w *Watchdog) Check(now time.Time) Verdict {
	if w.first.IsZero() {
		if w.cfg.FirstMedia > 0 && now.Sub(w.accepted) >= w.cfg.FirstMedia {
			return Never
		}
		return Waiting
	}
	quiet := now.Sub(w.allTracks.last)
	switch {
	case quiet >= w.silentAfter():
		return Silent
	case quiet >= w.lateAfter():
		return Late
	}
	return Fine
}

// TrackSilent reports whether a track that has begun is silent at time now while another continues.
func (w *Watchdog) TrackSilent(now time.Time, tr packetbuf.Track) bool {
	return !w.tracks[tr].last.IsZero() && w.Check(now) == Fine && !now.Before(w.trackDeadline(tr))
}

// trackDeadline returns the time at which a track counts as silent if none of its packets arrive
// until then while another track continues. A pause of all tracks does not count.
func (w *Watchdog) trackDeadline(tr packetbuf.Track) time.Time {
	from := w.tracks[tr].last
	if w.resumed.After(from) {
		from = w.resumed
	}
	return from.Add(w.trackSilentAfter(tr))
}

// Next returns the next time after now at which the result of Check or TrackSilent may change
// without an arrival. It returns the zero Time if there is none.
func (w *Watchdog) Next(now time.Time) time.Time {
	var next time.Time
	consider := func(at time.Time) {
		if at.After(now) && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	if w.first.IsZero() {
		if w.cfg.FirstMedia > 0 {
			consider(w.accepted.Add(w.cfg.FirstMedia))
		}
		return next
	}
	consider(w.allTracks.last.Add(w.lateAfter()))
	consider(w.allTracks.last.Add(w.silentAfter()))
	for tr := range w.tracks {
		if r := &w.tracks[tr]; !r.last.IsZero() {
			consider(w.trackDeadline(packetbuf.Track(tr))) //nolint:gosec // a small index
		}
	}
	return next
}

// Last returns the time at which media last arrived, or the zero Time if none has arrived.
func (w *Watchdog) Last() time.Time { return w.allTracks.last }

// Quiet returns the time since media last arrived, or 0 if none has arrived.
func (w *Watchdog) Quiet(now time.Time) time.Duration {
	if w.first.IsZero() {
		return 0
	}
	return now.Sub(w.allTracks.last)
}

// Gap returns the longest gap between arrivals in the last 40 seconds.
func (w *Watchdog) Gap() time.Duration { return w.allTracks.longestGap() }
