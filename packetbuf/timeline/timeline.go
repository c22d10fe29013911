// Package timeline maps the timestamps of successive publisher sessions to a stream's own clock. That
// clock starts at 0 with the stream, follows the wall clock while nothing is published, and never goes
// back.
//
// A session has one offset for all its tracks, which preserves the publisher's lip-sync. A timestamp
// that steps although no time has passed is not believed at once: see Timeline.Place. The package is
// pure: no goroutine, no clock, no I/O.
package timeline

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

const (
	// wrap is the range of RTMP and FLV timestamps.
	wrap = 1 << 32 * time.Millisecond
	// maxLead is how far the first packet of a track may be ahead of its arrival.
	maxLead = 3 * time.Second
	// maxSkew is how far a track may be behind the other when it begins. It may be ahead by maxLead.
	maxSkew = 10 * time.Second
	// estimateWindow is the length of a bucket of origin. Two buckets together define the clock.
	estimateWindow = 2 * time.Second
)

// Timeline is one stream's clock. The zero value is a stream that has not begun.
type Timeline struct {
	started      bool
	offset       time.Duration // stream clock minus the session's unwrapped clock
	formerOffset time.Duration // the offset before the last step of the session's clock
	offsetMoved  bool          // formerOffset is set
	lastRaw      time.Duration // the session's unwrapped clock at its last packet
	lastArrived  time.Time     // when that packet arrived
	tracks       [packetbuf.NumTracks]track

	reorder     reorder // for video whose decode times are presentation times
	corrections [packetbuf.NumTracks]uint64
}

// track is one track of the stream and of the current session.
type track struct {
	started    bool
	last       time.Duration // DTS on the stream's clock
	step       time.Duration // between the last two packets of a session
	arrived    time.Time     // of the session's last packet; zero before its first
	raw        time.Duration // the session's unwrapped time of the last packet that was believed
	naturalDTS time.Duration // raw plus offset: that packet's time on the stream's clock
	offset     time.Duration // added to the track's times; differs from the session's only after a step
	steps      stepHistory
	suspect    suspect
	origin     origin
}

// Clock returns the reading of the stream's clock at the wall time now, as estimated from track tr: the
// DTS of a packet that is captured and received at that time without delay. If tr has not begun, or has
// been absent so long that its estimate is outdated, Clock uses the other track's estimate. The result
// is never before the newest DTS of tr.
func (t *Timeline) Clock(tr packetbuf.Track, now time.Time) time.Duration {
	return max(t.clock(tr, now), t.tracks[tr].last)
}

func (t *Timeline) clock(tr packetbuf.Track, now time.Time) time.Duration {
	o, other := &t.tracks[tr].origin, &t.tracks[otherTrack(tr)].origin
	if other.seen.Sub(o.seen) >= 2*estimateWindow {
		o = other
	}
	if !o.started() {
		return 0
	}
	return now.Sub(o.estimate()).Truncate(time.Millisecond)
}

// otherTrack returns Audio for Video and Video for Audio.
func otherTrack(tr packetbuf.Track) packetbuf.Track { return packetbuf.Video + packetbuf.Audio - tr }

// Last returns the newest DTS of a track, and whether the track has one.
func (t *Timeline) Last(tr packetbuf.Track) (time.Duration, bool) {
	return t.tracks[tr].last, t.tracks[tr].started
}

// Step returns the time between the last two consecutive packets of a track within one session; 0 if
// there were none.
func (t *Timeline) Step(tr packetbuf.Track) time.Duration { return t.tracks[tr].step }

// Splice begins a session, or continues one after a break, with the packet p. Place will then give p the
// reading of the stream's clock at its arrival, or a time after all earlier packets if that is later.
func (t *Timeline) Splice(p *packetbuf.Packet) {
	t.beginSession(p, t.nextFreeTime(p)-p.DTS)
	t.started = true
}

// Follow begins a session that repeats media the stream already has: its packet p is already in the
// stream with the DTS at. Packets up to the newest of each track are late, and later packets continue
// the track.
func (t *Timeline) Follow(p *packetbuf.Packet, at time.Duration) {
	t.Break()
	t.beginSession(p, at-p.DTS)
}

func (t *Timeline) beginSession(p *packetbuf.Packet, offset time.Duration) {
	t.offsetMoved, t.lastRaw, t.lastArrived = false, p.DTS, p.Arrived
	t.reorder.restart()
	t.setOffset(offset)
}

func (t *Timeline) setOffset(offset time.Duration) {
	t.offset = offset
	for i := range t.tracks {
		t.tracks[i].offset, t.tracks[i].suspect = offset, suspect{}
	}
}

// Where returns the DTS of p on the stream's clock according to the offset in force, in whole milliseconds.
// Place may give p a different DTS, or reject p as late.
func (t *Timeline) Where(p *packetbuf.Packet) time.Duration {
	offset := t.offset
	if p.Track != packetbuf.Data {
		offset = t.tracks[p.Track].offset
	}
	return (packetbuf.Nearest(p.DTS, t.lastRaw) + offset).Round(time.Millisecond)
}

// Same reports whether raw, a timestamp of another session, equals, within a millisecond, the current
// session's timestamp for the time dts on the stream's clock.
func (t *Timeline) Same(dts, raw time.Duration) bool {
	own := dts - t.offset
	d := packetbuf.Nearest(raw, own) - own
	return d >= -time.Millisecond && d <= time.Millisecond
}

// Offset returns the stream's clock minus the session's timestamps, unwrapped from the first of them.
func (t *Timeline) Offset() time.Duration { return t.offset }

// At returns the DTS that Place will give the packet passed to Splice.
func (t *Timeline) At() time.Duration { return t.lastRaw + t.offset }

// Corrections returns how many packets of a track were placed by their arrival because the publisher's
// timestamp was implausible.
func (t *Timeline) Corrections(tr packetbuf.Track) uint64 { return t.corrections[tr] }

// Derived returns how many decode times were derived from presentation times.
func (t *Timeline) Derived() uint64 { return t.reorder.derived }

// nextFreeTime returns the reading of the clock at p's arrival, or a time after the newest packets of
// all tracks if that is later.
func (t *Timeline) nextFreeTime(p *packetbuf.Packet) time.Duration {
	at := t.Clock(p.Track, p.Arrived)
	for i := range t.tracks {
		if tr := &t.tracks[i]; tr.started {
			gap := time.Millisecond
			if tr == &t.tracks[p.Track] {
				gap = max(gap, min(tr.step, 100*time.Millisecond))
			}
			at = max(at, tr.last+gap)
		}
	}
	return ceilMillis(at)
}

// Place changes p's times from the session's clock to the stream's. If p is late, that is, belongs
// before packets that its track already has, Place returns false and does not change p.
//
// A packet whose time steps back, or ahead of its arrival, is placed right after the packet before it.
// The step is believed only if the next packet continues from there, or if the other track steps
// likewise. The session's clock is then moved so that the stream's clock does not step. Video may carry
// presentation times as decode times, which step back at B-frames; Place then derives decode times.
//
// A data message has no decode order of its own and is given the newest DTS of the media. For a data
// message, Place returns false if the stream has not begun.
func (t *Timeline) Place(p *packetbuf.Packet) bool {
	if p.Track == packetbuf.Data {
		p.DTS, p.CTO = max(t.tracks[packetbuf.Video].last, t.tracks[packetbuf.Audio].last), 0
		return t.started
	}
	raw, cto := packetbuf.Nearest(p.DTS, t.lastRaw), p.CTO
	if p.Track == packetbuf.Video {
		raw, cto = t.reorder.decodeTime(raw, cto)
	}
	tr := &t.tracks[p.Track]
	dts, fit := t.verdict(p, raw)
	if fit == late || dts < 0 && !tr.started {
		return false
	}
	shown := (cto + dts).Round(time.Millisecond)
	dts = dts.Round(time.Millisecond)
	if tr.started {
		dts = max(dts, tr.last+time.Millisecond)
	}
	if fit == doubted {
		t.corrections[p.Track]++
		shown = cto + dts
	} else {
		t.lastRaw, t.lastArrived = raw, p.Arrived
		tr.accept(raw)
	}
	p.CTO, p.DTS = shown-dts, dts
	if tr.started && !tr.arrived.IsZero() {
		tr.step = dts - tr.last
	}
	tr.started, tr.last, tr.arrived = true, dts, p.Arrived
	if fit != doubted {
		tr.origin.observe(p.Arrived, tr.naturalDTS)
	}
	return true
}

// accept records the session's time raw of a packet that was placed according to that time.
func (tr *track) accept(raw time.Duration) {
	if !tr.arrived.IsZero() {
		tr.steps.record(raw - tr.raw)
	}
	tr.raw, tr.naturalDTS = raw, raw+tr.offset
	tr.suspect = suspect{}
}

// Break ends or pauses the current session. Splice, Follow or Resume must be called before the next
// packet is placed.
func (t *Timeline) Break() {
	for i := range t.tracks {
		t.tracks[i].arrived, t.tracks[i].suspect = time.Time{}, suspect{}
	}
}

// Fill records that generated media was added to track tr with decode time dts.
func (t *Timeline) Fill(tr packetbuf.Track, dts time.Duration) {
	t.tracks[tr].started = true
	t.tracks[tr].last = max(t.tracks[tr].last, dts)
}

func ceilMillis(d time.Duration) time.Duration {
	return (d + time.Millisecond - 1).Truncate(time.Millisecond)
}
