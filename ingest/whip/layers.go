package whip

import (
	"bytes"
	"sync/atomic"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

const (
	// layerTimeout is how long a layer may be silent before another replaces it.
	layerTimeout = 500 * time.Millisecond
	// promoteAfter is how long a better layer must arrive before it is used.
	promoteAfter = time.Second
)

// layers are the video layers of one publisher: one track, or several of simulcast. The best layer that
// arrives is the stream's current one. The session's lock guards layers.
type layers struct {
	all     []*layer
	current *layer
}

// layer is one video layer.
type layer struct {
	track           *track
	rid             string
	config          []byte // the newest configuration; nil for none
	pixels          int
	activeSince     time.Time   // start of the present run of access units
	lastUnit        time.Time   // arrival of the last access unit
	lastKey         time.Time   // arrival of the last keyframe
	keyWanted       atomic.Bool // a keyframe of it has been requested
	keysWithoutSets int         // keyframes without parameter sets while config is nil
	rendition
}

func (l *layers) add(t *track, rid string, config []byte) *layer {
	one := &layer{track: t, rid: rid, config: config}
	l.all = append(l.all, one)
	return one
}

// record records an access unit.
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

// pixels returns the number of pixels of a keyframe; 0 if it does not say.
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

// requestKey requests a keyframe of the current layer, or of all if there is none yet.
func (l *layers) requestKey() {
	for _, one := range l.all {
		if l.current == nil || one == l.current {
			one.keyWanted.Store(true)
		}
	}
}

// keysDue returns the layers to ask for a keyframe: those with a request, those whose last keyframe is
// older than every, and the one that should become current.
func (l *layers) keysDue(now time.Time, every time.Duration) (out []*layer) {
	for _, one := range l.all {
		alive := one.alive(now)
		switch {
		case one.keyWanted.Load(), // also of a layer that rarely sends a frame
			alive && every > 0 && now.Sub(one.lastKey) >= every,
			alive && one != l.current && l.better(now, one) && l.best(now, one):
			out = append(out, one)
		}
	}
	return out
}

// best reports whether no arriving layer has more pixels.
func (l *layers) best(now time.Time, one *layer) bool {
	for _, other := range l.all {
		if other.alive(now) && other.pixels > one.pixels {
			return false
		}
	}
	return true
}
