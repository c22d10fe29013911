package hls

import (
	"context"
	"fmt"
	"hash/maphash"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/relay/egress"
)

// viewers are those that have asked for a playlist lately. HTTP knows no viewer: the
// multivariant playlist gives each one a session that stands in the URL of its media playlist.
type viewers struct {
	streams egress.Streams
	seed    maphash.Seed

	mu     sync.Mutex // guards what follows, and the viewers' fields
	all    map[string]*viewer
	closed bool
}

// viewer is one who watches.
type viewer struct {
	session string
	stream  string
	place   egress.Place // of which nothing is read
	came    time.Time
	seen    time.Time
	keep    time.Duration // how long it is kept without a request
	playing bool          // it has had a media playlist
}

// atLeast is how long a viewer is kept at the least.
const atLeast = 10 * time.Second

func (v *viewers) init(s egress.Streams) {
	v.streams, v.seed, v.all = s, maphash.MakeSeed(), map[string]*viewer{}
}

// request is who asks for what.
type request struct {
	app, name     string
	session       string // that the URL has; empty: none
	token         string
	remote, agent string
	fresh         bool // a new session, where the URL has none
}

// admit returns the viewer of a request: one that is known, while its stream goes on, or one
// that is given a place. over is the known one, where its stream has ended and it has no place
// on another of that name.
func (v *viewers) admit(ctx context.Context, r request) (at, over *viewer, err error) {
	session := r.session
	switch {
	case session == "" && r.fresh:
		session = newID()
	case session == "": // the same for the same player
		host, _, err := net.SplitHostPort(r.remote)
		if err != nil {
			host = r.remote
		}
		session = fmt.Sprintf("a-%016x", maphash.String(v.seed, host+"\n"+r.agent+"\n"+r.token))
	}
	stream := r.app + "/" + r.name
	key := stream + " " + session
	v.mu.Lock()
	known := v.all[key]
	if known != nil {
		known.seen = time.Now()
		if !ended(known.place) {
			v.mu.Unlock()
			return known, nil, nil
		}
	}
	v.mu.Unlock()
	place, err := v.streams.Play(ctx, egress.Request{
		App: r.app, Name: r.name, Token: r.token, Protocol: Protocol, Remote: r.remote, Agent: r.agent,
	})
	if err != nil {
		return nil, known, err
	}
	now := time.Now()
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		place.Close()
		return nil, nil, http.ErrServerClosed
	}
	if other := v.all[key]; other != nil { // come meanwhile, or over
		other.place.Close()
	}
	at = &viewer{session: session, stream: stream, place: place, came: now, seen: now, keep: atLeast}
	v.all[key] = at
	return at, nil, nil
}

func ended(p egress.Place) bool {
	select {
	case <-p.Done():
		return true
	default:
		return false
	}
}

// answered notes that a viewer has had a media playlist, and how soon it is to come again. It
// returns how long its first one took; false after the first.
func (v *viewers) answered(at *viewer, target int) (took time.Duration, first bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := time.Now()
	at.seen, at.keep = now, max(atLeast, 3*time.Duration(target)*time.Second)
	first, at.playing = !at.playing, true
	return now.Sub(at.came), first
}

// expire gives up the places of those who have not asked for long.
func (v *viewers) expire(now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for key, at := range v.all {
		if now.Sub(at.seen) > at.keep {
			at.place.Close()
			delete(v.all, key)
		}
	}
}

func (v *viewers) close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.closed = true
	for key, at := range v.all {
		at.place.Close()
		delete(v.all, key)
	}
}
