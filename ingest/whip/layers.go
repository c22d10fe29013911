package whip

import (
	"bytes"
	"sync/atomic"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

const (
	// layerTimeout is how long a layer may be silent before it counts as stopped and another
	// replaces it.
	layerTimeout = 500 * time.Millisecond
	// promoteAfter is how long a better layer must have arrived before it replaces the current one.
	promoteAfter = time.Second
)

// layers holds the video layers of one publisher: a single track, or several simulcast tracks. The
// current layer feeds the stream; it is the best of those that arrive. The session's lock guards
// layers.
type layers struct {
	all     []*layer
	current *layer
}

// layer is one video layer.
type layer struct {
	track           *track
	rid             string
	config          []byte // newest configuration; nil if none has arrived
	pixels          int
	activeSince     time.Time   // start of the current series of access units
	lastUnit        time.Time   // arrival of the last access unit
	lastKey         time.Time   // arrival of the last keyframe
	keyWanted       atomic.Bool // a keyframe of this layer has been requested
	keysWithoutSets int         // number of keyframes without parameter sets while config is nil
	rendition
}

func (l *layers) add(t *track, rid string, config []byte) *layer {
	one := &layer{track: t, rid: rid, config: config}
	l.all = append(l.all, one)
	return one
}

// record records the arrival of an access unit at time now.
func (l *layer) record(now time.Time, u *accessUnit) {
	if now.Sub(l.lastUnit) >= layerTimeout {
		l.activeSince = now
	}
	l.lastUnit = now
	if u.kind == packetbuf.Key {
		l.lastKey = now
		l.keyWanted.Store(false)
		if n := pixels(l.track.units.format.codec, u); n > 0 {
			l.pixels = n
		}
	}
	if u.config != nil && !bytes.Equal(u.config, l.config) {
		l.config = u.config
	}
}

// pixels returns the number of pixels of a keyframe's picture, or 0 if the keyframe does not
// contain its size.
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

func (l *layer) alive(now time.Time) bool { return now.Sub(l.lastUnit) < layerTimeout }

// better reports whether a layer should replace the current one.
func (l *layers) better(now time.Time, one *layer) bool {
	if l.current == nil || one == l.current {
		return true
	}
	if !l.current.alive(now) {
		return true
	}
	return one.pixels > l.current.pixels && now.Sub(one.activeSince) >= promoteAfter
}

// requestKey requests a keyframe of the current layer, or of all layers if none is current.
func (l *layers) requestKey() {
	for _, one := range l.all {
		if l.current == nil || one == l.current {
			one.keyWanted.Store(true)
		}
	}
}

// keysDue returns the layers whose publisher must be asked for a keyframe at time now. These are
// layers with a pending request, layers whose last keyframe is older than the interval every, and a
// layer that is to become current. 0 disables the interval.
func (l *layers) keysDue(now time.Time, every time.Duration) (out []*layer) {
	for _, one := range l.all {
		alive := one.alive(now)
		switch {
		case one.keyWanted.Load(), // even if the layer rarely sends a frame
			alive && every > 0 && now.Sub(one.lastKey) >= every,
			alive && one != l.current && l.better(now, one) && l.best(now, one):
			out = append(out, one)
		}
	}
	return out
}

// best reports whether no other layer that arrives has more pixels than one.
func (l *layers) best(now time.Time, one *layer) bool {
	for _, other := range l.all {
		if other.alive(now) && other.pixels > one.pixels {
			return false
		}
	}
	return true
}
