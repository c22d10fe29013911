package whip

import (
	"bytes"
	"sync/atomic"
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
	since  time.Time   // when what comes now began to come
	seen   time.Time   // when the last access unit came
	key    time.Time   // when the last keyframe came
	wanted atomic.Bool // somebody wants a keyframe of it
	bare   int         // keyframes that came without parameter sets, while there were none
	rendition
}

func (l *layers) add(t *track, rid string, config []byte) *layer {
	one := &layer{track: t, rid: rid, config: config}
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
		l.wanted.Store(false)
		if n := pixels(l.track.units.format.codec, u); n > 0 {
			l.pixels = n
		}
	}
	if u.config != nil && !bytes.Equal(u.config, l.config) {
		l.config = u.config
	}
}

// pixels is how many a keyframe has; 0 where it does not say.
func pixels(of packetbuf.Codec, u *accessUnit) int {
	switch of {
	case packetbuf.VP8:
		w, h := codec.VP8Size(u.payload)
		return w * h
	case packetbuf.VP9:
		w, h := codec.VP9Size(u.payload)
		return w * h
	}
	if u.config == nil {
		return 0
	}
	info, err := codec.Describe(&packetbuf.Packet{Codec: of, Kind: packetbuf.Config, Payload: u.config})
	if err != nil {
		return 0
	}
	return info.Width * info.Height
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

// want has a keyframe asked for of the layer that feeds the stream; of all, where none does yet.
func (l *layers) want() {
	for _, one := range l.all {
		if l.current == nil || one == l.current {
			one.wanted.Store(true)
		}
	}
}

// keysDue are the layers that are to be asked for a keyframe: those of which somebody wants one,
// those whose last is older than every, and those that are to feed the stream next.
func (l *layers) keysDue(now time.Time, every time.Duration) (out []*layer) {
	for _, one := range l.all {
		alive := one.alive(now)
		switch {
		case one.wanted.Load(), // however seldom it brings a picture
			alive && every > 0 && now.Sub(one.key) >= every,
			alive && one != l.current && l.better(now, one) && l.best(now, one):
			out = append(out, one)
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
