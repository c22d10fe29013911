// Package timeline maps the packets of successive publisher sessions to a stream's own
// clock. That clock starts at 0 with the stream, follows the wall clock while nothing
// is published, and never goes back.
//
// A session has one offset for all its tracks, which preserves the publisher's lip-sync.
// Timestamps that step without time having passed are not believed at once: see
// Timeline.Place. The package is pure.
package timeline

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

const (
	// wrap is the range of RTMP's and FLV's timestamps.
	wrap = 1 << 32 * time.Millisecond
	// maxLead is how far the first packet of a track may be ahead of its arrival.
	maxLead = 3 * time.Second
	// maxSkew is how far a track may be behind the other when it begins; it may be ahead by maxLead.
	maxSkew = 10 * time.Second
	// estimateWindow is half the time over which the least delayed packets define the clock.
	estimateWindow = 2 * time.Second
)

// Timeline is one stream's clock. The zero value is a stream that has not begun.
type Timeline struct {
	started      bool
	offset       time.Duration // stream clock minus the session's unwrapped clock
	formerOffset time.Duration // the offset before the last step of the session's clock
	offsetMoved  bool          // former is set
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
	naturalDTS time.Duration // that packet's time on the stream's clock by the offset in force
	offset     time.Duration // added to the track's times; differs from the session's only after a step
	steps      stepHistory
	suspect    suspect
	origin     origin
}

// Clock returns the time of the stream's clock at now, measured by track tr: the DTS of a packet that
// is captured and received without delay. If tr has not begun, or its measure is outdated because it
// has been away, Clock uses the other track. It is never before the newest DTS of the track.
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

// otherTrack returns the other track.
func otherTrack(tr packetbuf.Track) packetbuf.Track { return packetbuf.Video + packetbuf.Audio - tr }

// Last returns the newest DTS of a track, and whether the track has one.
func (t *Timeline) Last(tr packetbuf.Track) (time.Duration, bool) {
	return t.tracks[tr].last, t.tracks[tr].started
}

// Step returns the time between the newest two packets of a track within a session; 0 if there are
// no two.
func (t *Timeline) Step(tr packetbuf.Track) time.Duration { return t.tracks[tr].step }

// Splice begins a session, or continues one after a break, with the packet p. Place will put p at the
// clock's time of its arrival, after all earlier packets.
func (t *Timeline) Splice(p *packetbuf.Packet) {
	t.beginSession(p, t.nextFreeTime(p)-p.DTS)
	t.started = true
}

// Follow begins a session whose packet p the stream already has at the DTS at. Packets from before
// the newest of a track are then late, and later packets continue the track.
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

// Where returns the time that Place would give p if no packet were late, in whole milliseconds.
func (t *Timeline) Where(p *packetbuf.Packet) time.Duration {
	offset := t.offset
	if p.Track != packetbuf.Data {
		offset = t.tracks[p.Track].offset
	}
	return (packetbuf.Nearest(p.DTS, t.lastRaw) + offset).Round(time.Millisecond)
}

// Same reports whether raw, a timestamp of another session, equals the current session's timestamp
// for the time dts on the stream's clock.
func (t *Timeline) Same(dts, raw time.Duration) bool {
	own := dts - t.offset
	d := packetbuf.Nearest(raw, own) - own
	return d >= -time.Millisecond && d <= time.Millisecond
}

// Offset returns the difference from the session's timestamps, unwrapped from its first, to the
// stream's clock.
func (t *Timeline) Offset() time.Duration { return t.offset }

// At returns the time at which Place will put the packet passed to Splice.
func (t *Timeline) At() time.Duration { return t.lastRaw + t.offset }

// Corrections returns how many packets of a track were given a time other than the publisher's,
// because that was implausible.
func (t *Timeline) Corrections(tr packetbuf.Track) uint64 { return t.corrections[tr] }

// Derived returns how many decode times were derived from presentation times.
func (t *Timeline) Derived() uint64 { return t.reorder.derived }

// nextFreeTime returns the clock at p's arrival, or a time after all tracks' newest packets if later.
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

// Place changes p's times from the session's clock to the stream's. It returns false, and does not
// change p, if p belongs before packets that its track already has: it is late.
//
// A packet whose time steps ahead of its arrival, or back, is placed right after the packet before
// it. The step is believed only if the next packet continues from there, or the other track steps
// likewise; then the session's clock is moved so that the stream's does not step. Video whose decode
// times are presentation times, which step back at B-frames, is given derived decode times.
//
// A data message has no decode order of its own: it is placed with the newest media.
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

// accept records the session's time of a packet that was placed by it.
func (tr *track) accept(raw time.Duration) {
	if !tr.arrived.IsZero() {
		tr.steps.record(raw - tr.raw)
	}
	tr.raw, tr.naturalDTS = raw, raw+tr.offset
	tr.suspect = suspect{}
}

// Break ends or pauses the current session. The next packet on any track must begin with Splice or
// Resume.
func (t *Timeline) Break() {
	for i := range t.tracks {
		t.tracks[i].arrived, t.tracks[i].suspect = time.Time{}, suspect{}
	}
}

// Fill records that generated media was placed at dts on track tr.
func (t *Timeline) Fill(tr packetbuf.Track, dts time.Duration) {
	t.tracks[tr].started = true
	t.tracks[tr].last = max(t.tracks[tr].last, dts)
}

func ceilMillis(d time.Duration) time.Duration {
	return (d + time.Millisecond - 1).Truncate(time.Millisecond)
}
