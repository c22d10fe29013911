package whip

import (
	"bytes"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

const (
	// quiet is how long a layer may bring nothing before another feeds the stream.
	quiet = 500 * time.Millisecond
	// proven is how long a better layer has to come before it feeds the stream.
	proven = time.Second
)

// layers are the pictures of one publisher: one track, or several of simulcast. The best that
// comes whole feeds the stream. The session's lock guards them.
type layers struct {
	all     []*layer
	current *layer
}

// layer is one of them.
type layer struct {
	track  *track
	rid    string
	config []byte // the newest; nil: none so far
	pixels int
	since  time.Time // when what comes now began to come
	seen   time.Time // when the last access unit came
	key    time.Time // when the last keyframe came
	rendition
}

func (l *layers) add(t *track, rid string) *layer {
	one := &layer{track: t, rid: rid}
	l.all = append(l.all, one)
	return one
}

// note notes an access unit.
func (l *layer) note(now time.Time, u *accessUnit) {
	if now.Sub(l.seen) >= quiet {
		l.since = now
	}
	l.seen = now
	if u.kind == packetbuf.Key {
		l.key = now
	}
	if u.config != nil && !bytes.Equal(u.config, l.config) {
		l.config = u.config
		if info, err := codec.Describe(&packetbuf.Packet{Codec: l.track.units.format.codec, Kind: packetbuf.Config, Payload: u.config}); err == nil {
			l.pixels = info.Width * info.Height
		}
	}
}

func (l *layer) alive(now time.Time) bool { return now.Sub(l.seen) < quiet }

// better tells whether l is to feed the stream instead of what feeds it.
func (l *layers) better(now time.Time, one *layer) bool {
	if l.current == nil || one == l.current {
		return true
	}
	if !l.current.alive(now) {
		return true
	}
	return one.pixels > l.current.pixels && now.Sub(one.since) >= proven
}

// keysDue are the tracks that are to be asked for a keyframe: those whose last is older than
// every, the one that feeds the stream where somebody wants one, and those that are to feed it
// next.
func (l *layers) keysDue(now time.Time, every time.Duration, wanted bool) (out []*track) {
	for _, one := range l.all {
		if !one.alive(now) {
			continue
		}
		switch {
		case every > 0 && now.Sub(one.key) >= every,
			wanted && (one == l.current || l.current == nil),
			one != l.current && l.better(now, one) && l.best(now, one):
			out = append(out, one.track)
		}
	}
	return out
}

// best tells whether no layer that comes has more pixels.
func (l *layers) best(now time.Time, one *layer) bool {
	for _, other := range l.all {
		if other.alive(now) && other.pixels > one.pixels {
			return false
		}
	}
	return true
}
