// Package timeline puts the packets of one publisher session after another on a
// stream's own clock, which starts at 0 with the stream, goes on with the wall clock
// while nothing is published, and never goes back.
//
// A session has one offset for all its tracks, so lip-sync is what the publisher made
// it. Timestamps that step without time having passed are not believed at once: see
// Timeline.Place. The package is pure.
package timeline

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

const (
	// wrap is the range of RTMP's and FLV's timestamps.
	wrap = 1 << 32 * time.Millisecond
	// leap is how far ahead of its arrival the first packet of a track may be.
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
	former time.Duration // the offset before the last step of the session's clock
	moved  bool          // former is set
	raw    time.Duration // the session's unwrapped clock at its last packet
	seen   time.Time     // when that arrived
	tracks [packetbuf.NumTracks]track

	reorder     reorder // of video whose decode times are presentation times
	corrections [packetbuf.NumTracks]uint64
}

// track is one track of the stream, and of the session that feeds it.
type track struct {
	begun   bool
	last    time.Duration // DTS on the stream's clock
	step    time.Duration // between the last two packets of a session
	arrived time.Time     // of the last packet of the session; zero before its first
	raw     time.Duration // the session's unwrapped time of the last packet that was believed
	natural time.Duration // where the offset in force puts that packet
	offset  time.Duration // what the track's packets are moved by; the session's, but for a step
	usual   usual
	doubt   doubt
	origin  origin
}

// Clock returns where the stream's clock stands at now, as track tr measures it (the other
// where tr has not begun, or has been away so long that its measure is old): the DTS that a
// packet would get that is captured and received without delay. It is never before a DTS that
// the track already has.
func (t *Timeline) Clock(tr packetbuf.Track, now time.Time) time.Duration {
	return max(t.clock(tr, now), t.tracks[tr].last)
}

func (t *Timeline) clock(tr packetbuf.Track, now time.Time) time.Duration {
	o, other := &t.tracks[tr].origin, &t.tracks[beside(tr)].origin
	if other.seen.Sub(o.seen) >= 2*window {
		o = other
	}
	if !o.begun() {
		return 0
	}
	return now.Sub(o.at()).Truncate(time.Millisecond)
}

// beside returns the other track.
func beside(tr packetbuf.Track) packetbuf.Track { return packetbuf.Video + packetbuf.Audio - tr }

// Last returns the newest DTS of a track, and whether it has one.
func (t *Timeline) Last(tr packetbuf.Track) (time.Duration, bool) {
	return t.tracks[tr].last, t.tracks[tr].begun
}

// Step returns the time between the newest two packets of a track within a session; 0 while
// there were none.
func (t *Timeline) Step(tr packetbuf.Track) time.Duration { return t.tracks[tr].step }

// Splice begins a session, or goes on with one after a break: p, its first packet, is
// going to stand where the clock is when it arrived, and behind everything before it.
// Place puts it there.
func (t *Timeline) Splice(p *packetbuf.Packet) {
	t.begin(p, t.nextFree(p)-p.DTS)
	t.begun = true
}

// Follow begins a session whose packet p the stream has had already, at DTS at: what it
// delivers from before the newest of a track is late, what comes after continues the track.
func (t *Timeline) Follow(p *packetbuf.Packet, at time.Duration) {
	t.Break()
	t.begin(p, at-p.DTS)
}

func (t *Timeline) begin(p *packetbuf.Packet, offset time.Duration) {
	t.moved, t.raw, t.seen = false, p.DTS, p.Arrived
	t.reorder.restart()
	t.setOffset(offset)
}

func (t *Timeline) setOffset(offset time.Duration) {
	t.offset = offset
	for i := range t.tracks {
		t.tracks[i].offset, t.tracks[i].doubt = offset, doubt{}
	}
}

// Where returns the place that Place would give p if nothing were late, in whole milliseconds.
func (t *Timeline) Where(p *packetbuf.Packet) time.Duration {
	offset := t.offset
	if p.Track != packetbuf.Data {
		offset = t.tracks[p.Track].offset
	}
	return (packetbuf.Nearest(p.DTS, t.raw) + offset).Round(time.Millisecond)
}

// Same reports whether raw, a timestamp of another session, is that of the session in force for
// what stands at dts.
func (t *Timeline) Same(dts, raw time.Duration) bool {
	own := dts - t.offset
	d := packetbuf.Nearest(raw, own) - own
	return d >= -time.Millisecond && d <= time.Millisecond
}

// Offset returns what is added to the session's timestamps, unwrapped from its first on.
func (t *Timeline) Offset() time.Duration { return t.offset }

// At returns where the packet given to Splice is going to stand.
func (t *Timeline) At() time.Duration { return t.raw + t.offset }

// Corrections returns how many packets of a track were given another time than the publisher
// said, because theirs could not be true.
func (t *Timeline) Corrections(tr packetbuf.Track) uint64 { return t.corrections[tr] }

// Derived returns how many decode times were made of presentation times.
func (t *Timeline) Derived() uint64 { return t.reorder.derived }

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
// A packet whose time steps ahead of its arrival, or back, gets a place right behind the one
// before it. Only if the next packet goes on from there, or the other track steps likewise, is
// the step believed, and the session's clock moved so that the stream's does not step. Video
// whose decode times are presentation times, which step back at B-frames, is given decode
// times.
//
// A data message has no decode order of its own: it stands with the newest media.
func (t *Timeline) Place(p *packetbuf.Packet) bool {
	if p.Track == packetbuf.Data {
		p.DTS, p.CTO = max(t.tracks[packetbuf.Video].last, t.tracks[packetbuf.Audio].last), 0
		return t.begun
	}
	raw, cto := packetbuf.Nearest(p.DTS, t.raw), p.CTO
	if p.Track == packetbuf.Video {
		raw, cto = t.reorder.decodeTime(raw, cto)
	}
	tr := &t.tracks[p.Track]
	dts, fit := t.fit(p, raw)
	if fit == late || dts < 0 && !tr.begun {
		return false
	}
	shown := (cto + dts).Round(time.Millisecond)
	dts = dts.Round(time.Millisecond)
	if tr.begun {
		dts = max(dts, tr.last+time.Millisecond)
	}
	if fit == doubted {
		t.corrections[p.Track]++
		shown = cto + dts
	} else {
		t.raw, t.seen = raw, p.Arrived
		tr.believe(raw)
	}
	p.CTO, p.DTS = shown-dts, dts
	if tr.begun && !tr.arrived.IsZero() {
		tr.step = dts - tr.last
	}
	tr.begun, tr.last, tr.arrived = true, dts, p.Arrived
	if fit != doubted {
		tr.origin.observe(p.Arrived, tr.natural)
	}
	return true
}

// believe notes the session's time of a packet that was placed by it.
func (tr *track) believe(raw time.Duration) {
	if !tr.arrived.IsZero() {
		tr.usual.note(raw - tr.raw)
	}
	tr.raw, tr.natural = raw, raw+tr.offset
	tr.doubt = doubt{}
}

// Break says that the session in force is over or quiet: what follows on any track begins
// with Splice, or with Resume.
func (t *Timeline) Break() {
	for i := range t.tracks {
		t.tracks[i].arrived, t.tracks[i].doubt = time.Time{}, doubt{}
	}
}

// Fill says that made media stands at dts on track tr.
func (t *Timeline) Fill(tr packetbuf.Track, dts time.Duration) {
	t.tracks[tr].begun = true
	t.tracks[tr].last = max(t.tracks[tr].last, dts)
}

func ceilMillis(d time.Duration) time.Duration {
	return (d + time.Millisecond - 1).Truncate(time.Millisecond)
}
