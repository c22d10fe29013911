// Package timeline puts the packets of one publisher session after another on a
// stream's own clock, which starts at 0 with the stream, goes on with the wall clock
// while nobody publishes, and never goes back.
//
// A session has one offset for all its tracks, so lip-sync is what the publisher made
// it. The package is pure.
package timeline

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

const (
	// wrap is the range of RTMP's and FLV's timestamps.
	wrap = 1 << 32 * time.Millisecond
	// backstep is how far a track's decode time may step back within a session before it
	// counts as a new start of the publisher's clock. Senders that put presentation times
	// where decode times belong step back by less.
	backstep = 250 * time.Millisecond
	// leap is how far ahead of its arrival a decode time may step, likewise.
	leap = 3 * time.Second
	// skew is how far one track may be behind the other when it begins; ahead of it by leap.
	skew = 10 * time.Second
	// window is half the time over which the quickest arrival defines the clock.
	window = 2 * time.Second
)

// Timeline is one stream's clock. The zero value is a stream that has not begun.
type Timeline struct {
	begun  bool
	offset time.Duration // stream clock less the session's unwrapped clock
	former time.Duration // the offset before the last new start within the session
	moved  bool          // former is set
	raw    time.Duration // the session's unwrapped clock at its last packet
	seen   time.Time     // when that arrived
	tracks [packetbuf.NumTracks]track
}

type track struct {
	begun   bool
	last    time.Duration // DTS on the stream's clock
	step    time.Duration // between the last two packets of a session
	arrived time.Time     // of the last packet of the session; zero before its first
	origin  origin
}

// Clock is where the stream's clock stands at now, as track tr tells it (the other where tr
// has not begun, or has been away so long that its word is old): what the DTS of a packet
// would be that is captured and received without delay. It is never before a DTS that the
// track already has.
func (t *Timeline) Clock(tr packetbuf.Track, now time.Time) time.Duration {
	o, other := &t.tracks[tr].origin, &t.tracks[packetbuf.Video+packetbuf.Audio-tr].origin
	if other.seen.Sub(o.seen) >= 2*window {
		o = other
	}
	if !o.begun() {
		return 0
	}
	return max(now.Sub(o.at()).Truncate(time.Millisecond), t.tracks[tr].last)
}

// Last is the newest DTS of a track, and whether it has one.
func (t *Timeline) Last(tr packetbuf.Track) (time.Duration, bool) {
	return t.tracks[tr].last, t.tracks[tr].begun
}

// Step is the time between the newest two packets of a track within a session; 0 while
// there were none.
func (t *Timeline) Step(tr packetbuf.Track) time.Duration { return t.tracks[tr].step }

// Splice begins a session, or goes on with one after a break: p, its first packet, is
// going to stand where the clock is when it arrived, and behind everything before it.
// Place puts it there.
func (t *Timeline) Splice(p *packetbuf.Packet) {
	t.moved, t.raw, t.seen = false, p.DTS, p.Arrived
	t.offset = t.nextFree(p) - p.DTS
	t.begun = true
}

// Follow begins a session whose packet p the stream has had already, at DTS at: what it
// delivers from before the newest of a track is late, what comes after continues the track.
func (t *Timeline) Follow(p *packetbuf.Packet, at time.Duration) {
	t.Break()
	t.moved, t.raw, t.seen, t.offset = false, p.DTS, p.Arrived, at-p.DTS
}

// Where is the place that Place would give p if nothing were late, in whole milliseconds.
func (t *Timeline) Where(p *packetbuf.Packet) time.Duration {
	return (unwrap(p.DTS, t.raw) + t.offset).Round(time.Millisecond)
}

// Same tells whether raw, a timestamp of another session, is that of the session in force for
// what stands at dts.
func (t *Timeline) Same(dts, raw time.Duration) bool {
	own := dts - t.offset
	d := unwrap(raw, own) - own
	return d >= -time.Millisecond && d <= time.Millisecond
}

// Offset is what is added to the session's timestamps, unwrapped from its first on.
func (t *Timeline) Offset() time.Duration { return t.offset }

// At is where the packet given to Splice is going to stand.
func (t *Timeline) At() time.Duration { return t.raw + t.offset }

// nextFree is the clock at p's arrival, or behind what its track and the others have.
func (t *Timeline) nextFree(p *packetbuf.Packet) time.Duration {
	at := t.Clock(p.Track, p.Arrived)
	for i := range t.tracks {
		if tr := &t.tracks[i]; tr.begun {
			gap := time.Millisecond
			if tr == &t.tracks[p.Track] {
				gap = max(gap, min(tr.step, 100*time.Millisecond))
			}
			at = max(at, tr.last+gap)
		}
	}
	return ceilMillis(at)
}

// Place moves p from the session's clock to the stream's. It returns false, and leaves p
// alone, when p belongs before what its track already has: it came too late.
//
// A data message has no decode order of its own: it stands with the newest media.
func (t *Timeline) Place(p *packetbuf.Packet) bool {
	if p.Track == packetbuf.Data {
		p.DTS, p.CTO = max(t.tracks[packetbuf.Video].last, t.tracks[packetbuf.Audio].last), 0
		return t.begun
	}
	raw := unwrap(p.DTS, t.raw)
	tr := &t.tracks[p.Track]
	dts, late := t.fit(p, raw)
	if late || dts < 0 && !tr.begun {
		return false
	}
	cto := (p.CTO + dts).Round(time.Millisecond)
	dts = dts.Round(time.Millisecond)
	if tr.begun {
		dts = max(dts, tr.last+time.Millisecond)
	}
	p.CTO, p.DTS = cto-dts, dts
	t.raw, t.seen = raw, p.Arrived
	if tr.begun && !tr.arrived.IsZero() {
		tr.step = dts - tr.last
	}
	tr.begun, tr.last, tr.arrived = true, dts, p.Arrived
	tr.origin.observe(p.Arrived, dts)
	return true
}

// fit finds p's place: by the offset in force; by the one before, where a new start of the
// publisher's clock has reached one track and not yet the other; or by a new one.
func (t *Timeline) fit(p *packetbuf.Packet, raw time.Duration) (dts time.Duration, late bool) {
	tr := &t.tracks[p.Track]
	if !tr.begun || tr.arrived.IsZero() {
		// The track's first packet in this session, whose other track tells what the time is.
		// What another session, or filler, has already covered is late.
		dts = raw + t.offset
		if ahead := raw - t.raw; ahead < max(0, p.Arrived.Sub(t.seen))+leap && ahead > -skew {
			return dts, tr.begun && dts <= tr.last
		}
	}
	if dts = raw + t.offset; tr.near(dts, p.Arrived) {
		return dts, false
	}
	if old := raw + t.former; t.moved && tr.near(old, p.Arrived) {
		return old, false
	}
	t.former, t.moved = t.offset, true
	t.offset = t.nextFree(p) - raw
	return raw + t.offset, false
}

// near tells whether a decode time continues the track.
func (tr *track) near(dts time.Duration, arrived time.Time) bool {
	if tr.arrived.IsZero() {
		return false
	}
	jump := dts - tr.last
	return jump >= -backstep && jump <= max(0, arrived.Sub(tr.arrived))+leap
}

// Break says that the session in force is over or quiet: what follows on any track begins
// with Splice.
func (t *Timeline) Break() {
	for i := range t.tracks {
		t.tracks[i].arrived = time.Time{}
	}
}

// Fill says that made media stands at dts on track tr.
func (t *Timeline) Fill(tr packetbuf.Track, dts time.Duration) {
	t.tracks[tr].begun = true
	t.tracks[tr].last = max(t.tracks[tr].last, dts)
}

// unwrap takes a timestamp of which only the low 32 bits of milliseconds may be known to
// where it is nearest to ref.
func unwrap(raw, ref time.Duration) time.Duration {
	d := (raw - ref) % wrap
	switch {
	case d > wrap/2:
		d -= wrap
	case d < -wrap/2:
		d += wrap
	}
	return ref + d
}

func ceilMillis(d time.Duration) time.Duration {
	return (d + time.Millisecond - 1).Truncate(time.Millisecond)
}
