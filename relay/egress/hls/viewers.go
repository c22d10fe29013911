package hls

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/relay/egress"
)

// viewers are those that have asked for a playlist lately. HTTP knows no viewer: where plays
// need a token, the multivariant playlist gives each one a session that stands in the URL of its
// media playlists. Else all have the same URLs, so that what is cached on the way serves many,
// and a viewer is an address and the name of a player.
type viewers struct {
	admission egress.Admission
	sessions  Sessions
	seed      maphash.Seed

	mu       sync.Mutex // guards what follows, and the viewers' fields
	all      map[seat]*viewer
	families map[seat]int // of a stream and its renditions, by the stream: how many of them one watches
	coming   map[entry]*entering
	closed   bool
}

// seat is that of a viewer at a stream.
type seat struct{ stream, session string }

// family is the seat at the stream that this one is a rendition of, or itself.
func (s seat) family() seat {
	parent, _, _ := strings.Cut(s.stream, "~")
	return seat{parent, s.session}
}

// viewer is one who watches.
type viewer struct {
	seat
	sub     egress.Subscription // which is not read
	came    time.Time
	seen    time.Time
	keep    time.Duration // how long it is kept without a request
	playing bool          // it has had a media playlist
	named   bool          // its session stands in its URLs
	// show is the channel that the viewer is served from. When its place has ended it may see the end
	// of that, and nothing of a channel that came after it.
	show *channel
}

// entry is somebody who comes, and with what token: a secret.
type entry struct {
	seat
	token string
}

// entering is one of the requests of somebody who comes. Others of the same wait for it: they
// are one viewer.
type entering struct {
	done chan struct{} // closed when what follows is set
	at   *viewer
	err  error
}

// atLeast is how long a viewer is kept at the least.
const atLeast = 10 * time.Second

func (v *viewers) init(a egress.Admission, s Sessions) {
	v.admission, v.sessions, v.seed = a, s, maphash.MakeSeed()
	v.all, v.families, v.coming = map[seat]*viewer{}, map[seat]int{}, map[entry]*entering{}
}

// request is who asks for what.
type request struct {
	app, name     string
	session       string // that the URL has; empty: none
	madeUp        bool   // it was not given out: it proves nothing
	token         string
	remote, agent string
	begins        bool // it asks for the multivariant playlist, as who plays does first and but once
}

// checked notes whether the request's session is one that a relay has not given out for the stream, or
// that does not count any more. A session that is known here was; its place tells how long it lasts.
// Where a token is shown such a session is ignored, else it makes a viewer of its own where playing
// is open.
func (v *viewers) checked(r request) request {
	if r.session == "" {
		return r
	}
	s := seat{r.app + "/" + r.name, r.session}
	v.mu.Lock()
	known := v.families[s.family()] > 0
	v.mu.Unlock()
	if known || v.sessions != nil && v.sessions.IssuedSession(s.stream, s.session) {
		return r
	}
	if r.madeUp = true; r.token != "" {
		r.session = ""
	}
	return r
}

// seat is where the request belongs: a session of its own for who begins with a token, else the
// same for the same player.
func (v *viewers) seat(r request) seat {
	s := seat{r.app + "/" + r.name, r.session}
	switch {
	case r.session != "":
	case r.begins && r.token != "":
		s.session = newID()
	default:
		host, _, err := net.SplitHostPort(r.remote)
		if err != nil {
			host = r.remote
		}
		s.session = fmt.Sprintf("a-%016x", maphash.String(v.seed, host+"\n"+r.agent+"\n"+r.token))
	}
	return s
}

// admit returns the viewer of a request: one that is known, while its stream goes on, or one
// that is given a place. over is the known one, where its stream has ended and it has no place
// on another of that name.
func (v *viewers) admit(ctx context.Context, r request) (at, over *viewer, err error) {
	r = v.checked(r)
	who := entry{v.seat(r), r.token}
	for {
		known, there, first := v.meet(who)
		switch {
		case there == nil:
			return known, nil, nil
		case first:
			there.at, there.err = v.enter(ctx, r, who.seat)
			v.mu.Lock()
			delete(v.coming, who)
			v.mu.Unlock()
			close(there.done)
		default:
			select {
			case <-there.done:
			case <-ctx.Done():
				return nil, known, ctx.Err()
			}
			if left(there.err) { // and we have not
				continue
			}
		}
		if there.err != nil {
			return nil, known, there.err
		}
		return there.at, nil, nil
	}
}

// left tells whether an error is that of one who did not wait.
func left(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// meet returns the viewer at a seat, where there is one. Where it has no place, or its stream has
// ended, somebody comes: first tells whether nobody did before.
func (v *viewers) meet(who entry) (known *viewer, there *entering, first bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if known = v.all[who.seat]; known != nil {
		known.seen = time.Now()
		if !ended(known.sub) {
			return known, nil, false
		}
	}
	if there = v.coming[who]; there == nil {
		there, first = &entering{done: make(chan struct{})}, true
		v.coming[who] = there
	}
	return known, there, first
}

// enter admits a viewer.
func (v *viewers) enter(ctx context.Context, r request, s seat) (*viewer, error) {
	q := egress.Request{
		App: r.app, Name: r.name, Token: r.token, Protocol: Protocol, Remote: r.remote, Agent: r.agent, Priority: v.priority(r, s),
	}
	if q.Priority != egress.NewViewer { // it has media of its own
		q.Begin = egress.Anywhere
	}
	if !r.madeUp {
		q.Session = r.session
	}
	sub, _, err := v.admission.Join(ctx, q)
	if err != nil {
		return nil, err
	}
	named := r.session != "" || r.begins && r.token != ""
	if r.session == "" && named && v.sessions != nil {
		s.session = v.sessions.SessionName(s.stream, sub.Until())
	}
	now := time.Now()
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		sub.Close()
		return nil, http.ErrServerClosed
	}
	if other := v.all[s]; other != nil { // come meanwhile with another token, or over
		v.drop(other)
	}
	at := &viewer{seat: s, sub: sub, came: now, seen: now, keep: atLeast, named: named}
	v.all[s] = at
	v.families[s.family()]++
	return at, nil
}

// priority returns the priority of a viewer that joins. Media playlists are named by the multivariant
// one, for which a turn was waited for.
func (v *viewers) priority(r request, s seat) egress.JoinPriority {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.families[s.family()] > 0:
		return egress.ActiveViewer
	case r.begins, r.madeUp:
		return egress.NewViewer
	}
	return egress.ReturningViewer
}

// drop gives up a viewer's place. v.mu is held.
func (v *viewers) drop(at *viewer) {
	at.sub.Close()
	delete(v.all, at.seat)
	if f := at.family(); v.families[f] > 1 {
		v.families[f]--
	} else {
		delete(v.families, f)
	}
}

// ended reports whether a subscription's stream has ended, or its play token has expired.
func ended(p egress.Subscription) bool {
	if until := p.Until(); !until.IsZero() && !time.Now().Before(until) {
		return true
	}
	select {
	case <-p.Done():
		return true
	default:
		return false
	}
}

// serve notes the channel that a viewer is served from.
func (v *viewers) serve(at *viewer, c *channel) {
	v.mu.Lock()
	defer v.mu.Unlock()
	at.show = c
}

// last returns the channel that a viewer was served from whose place has ended; nil where there is none
// whose end is there to be seen.
func (v *viewers) last(over *viewer) *channel {
	if over == nil {
		return nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if c := over.show; c != nil && c.over() {
		return c
	}
	return nil
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
	for _, at := range v.all {
		if now.Sub(at.seen) > at.keep {
			v.drop(at)
		}
	}
}

func (v *viewers) close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.closed = true
	for _, at := range v.all {
		v.drop(at)
	}
}
