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

// viewers holds the viewers that have requested a playlist recently. HTTP has no connection per
// viewer. If playing requires a token, the multivariant playlist gives each viewer a session,
// which is part of its media playlist URLs. Otherwise all viewers have the same URLs, so that
// caches can serve many, and a viewer is identified by address and user agent.
type viewers struct {
	admission egress.Admission
	sessions  Sessions
	seed      maphash.Seed

	mu       sync.Mutex // guards the fields below, and the viewers' fields
	byKey    map[viewerKey]*viewer
	families map[viewerKey]int // number of subscriptions of a session to a stream and its renditions, by the stream
	joining  map[joinKey]*pendingJoin
	closed   bool
}

// viewerKey identifies a viewer of a stream.
type viewerKey struct{ stream, session string }

// family returns the key for the stream that this one is a rendition of, or the key itself.
func (s viewerKey) family() viewerKey {
	parent, _, _ := strings.Cut(s.stream, "~")
	return viewerKey{parent, s.session}
}

// viewer is a viewer of a stream.
type viewer struct {
	viewerKey
	sub          egress.Subscription // not read
	joined       time.Time
	lastRequest  time.Time
	timeout      time.Duration // how long the viewer is kept without a request
	started      bool          // has received a media playlist
	sessionInURL bool          // has its session in its URLs
	// channel is the channel that the viewer is served from. After its subscription has ended the
	// viewer may see the end of that channel, but nothing of a channel that replaced it.
	channel *channel
}

// joinKey identifies a viewer that joins with a token, which is a secret.
type joinKey struct {
	viewerKey
	token string
}

// pendingJoin is a join in progress. Other requests with the same key wait for it, because they
// are of one viewer.
type pendingJoin struct {
	done   chan struct{} // closed when the fields below are set
	viewer *viewer
	err    error
}

// minTimeout is the minimum time for which a viewer is kept without a request.
const minTimeout = 10 * time.Second

func (v *viewers) init(a egress.Admission, s Sessions) {
	v.admission, v.sessions, v.seed = a, s, maphash.MakeSeed()
	v.byKey, v.families, v.joining = map[viewerKey]*viewer{}, map[viewerKey]int{}, map[joinKey]*pendingJoin{}
}

// request is a request for a playlist.
type request struct {
	app, name      string
	session        string // session in the URL; may be empty
	unknownSession bool   // the session was not issued by a relay, and proves nothing
	token          string
	remote, agent  string
	multivariant   bool // for the multivariant playlist, which players request first and only once
}

// checkSession marks the request's session if it was not issued by a relay for the stream or is
// no longer valid. A session that has viewers was issued; their subscriptions end it. With a
// token such a session is ignored; without one it identifies a viewer, if playing is open.
func (v *viewers) checkSession(r request) request {
	if r.session == "" {
		return r
	}
	s := viewerKey{r.app + "/" + r.name, r.session}
	v.mu.Lock()
	known := v.families[s.family()] > 0
	v.mu.Unlock()
	if known || v.sessions != nil && v.sessions.IssuedSession(s.stream, s.session) {
		return r
	}
	if r.unknownSession = true; r.token != "" {
		r.session = ""
	}
	return r
}

// key returns the request's viewer key. A viewer that begins with a token gets a new session;
// other requests of the same player share one.
func (v *viewers) key(r request) viewerKey {
	s := viewerKey{r.app + "/" + r.name, r.session}
	switch {
	case r.session != "":
	case r.multivariant && r.token != "":
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

// admit returns the viewer of a request: a known one while its stream continues, or one that
// joins. over is the known viewer if its stream has ended and joining another stream of that
// name failed.
func (v *viewers) admit(ctx context.Context, r request) (admitted, over *viewer, err error) {
	r = v.checkSession(r)
	key := joinKey{v.key(r), r.token}
	for {
		known, pending, first := v.lookup(key)
		switch {
		case pending == nil:
			return known, nil, nil
		case first:
			pending.viewer, pending.err = v.join(ctx, r, key.viewerKey)
			v.mu.Lock()
			delete(v.joining, key)
			v.mu.Unlock()
			close(pending.done)
		default:
			select {
			case <-pending.done:
			case <-ctx.Done():
				return nil, known, ctx.Err()
			}
			if abandoned(pending.err) { // but this request still waits
				continue
			}
		}
		if pending.err != nil {
			return nil, known, pending.err
		}
		return pending.viewer, nil, nil
	}
}

// abandoned reports whether an error is that of a request that stopped waiting.
func abandoned(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// lookup returns the known viewer of a key. If it has no subscription, or its stream has ended,
// lookup returns the pending join; first reports that the caller is to perform it.
func (v *viewers) lookup(key joinKey) (known *viewer, pending *pendingJoin, first bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if known = v.byKey[key.viewerKey]; known != nil {
		known.lastRequest = time.Now()
		if !subscriptionEnded(known.sub) {
			return known, nil, false
		}
	}
	if pending = v.joining[key]; pending == nil {
		pending, first = &pendingJoin{done: make(chan struct{})}, true
		v.joining[key] = pending
	}
	return known, pending, first
}

// join admits a viewer.
func (v *viewers) join(ctx context.Context, r request, s viewerKey) (*viewer, error) {
	q := egress.Request{
		App: r.app, Name: r.name, Token: r.token, Protocol: Protocol, Remote: r.remote, Agent: r.agent, Priority: v.priority(r, s),
	}
	if q.Priority != egress.NewViewer { // it has media to continue from
		q.Begin = egress.Anywhere
	}
	if !r.unknownSession {
		q.Session = r.session
	}
	sub, _, err := v.admission.Join(ctx, q)
	if err != nil {
		return nil, err
	}
	named := r.session != "" || r.multivariant && r.token != ""
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
	if other := v.byKey[s]; other != nil { // joined meanwhile with another token, or ended
		v.remove(other)
	}
	at := &viewer{viewerKey: s, sub: sub, joined: now, lastRequest: now, timeout: minTimeout, sessionInURL: named}
	v.byKey[s] = at
	v.families[s.family()]++
	return at, nil
}

// priority returns the priority of a viewer that joins. URLs of media playlists come from the
// multivariant one, for which the viewer has already waited.
func (v *viewers) priority(r request, s viewerKey) egress.JoinPriority {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.families[s.family()] > 0:
		return egress.ActiveViewer
	case r.multivariant, r.unknownSession:
		return egress.NewViewer
	}
	return egress.ReturningViewer
}

// remove closes a viewer's subscription and removes the viewer. v.mu is held.
func (v *viewers) remove(at *viewer) {
	at.sub.Close()
	delete(v.byKey, at.viewerKey)
	if f := at.family(); v.families[f] > 1 {
		v.families[f]--
	} else {
		delete(v.families, f)
	}
}

// subscriptionEnded reports whether a subscription's stream has ended, or its play token has
// expired.
func subscriptionEnded(p egress.Subscription) bool {
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

// setChannel records the channel that a viewer is served from.
func (v *viewers) setChannel(at *viewer, c *channel) {
	v.mu.Lock()
	defer v.mu.Unlock()
	at.channel = c
}

// lastChannel returns the channel that a viewer whose subscription has ended was served from, or
// nil if that channel has not ended.
func (v *viewers) lastChannel(over *viewer) *channel {
	if over == nil {
		return nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if c := over.channel; c != nil && c.hasEnded() {
		return c
	}
	return nil
}

// recordResponse records that a viewer received a media playlist with the given target duration
// in seconds. For the first one it returns the time since the viewer joined, and true.
func (v *viewers) recordResponse(at *viewer, target int) (took time.Duration, first bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := time.Now()
	at.lastRequest, at.timeout = now, max(minTimeout, 3*time.Duration(target)*time.Second)
	first, at.started = !at.started, true
	return now.Sub(at.joined), first
}

// expire removes viewers without recent requests.
func (v *viewers) expire(now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, at := range v.byKey {
		if now.Sub(at.lastRequest) > at.timeout {
			v.remove(at)
		}
	}
}

func (v *viewers) close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.closed = true
	for _, at := range v.byKey {
		v.remove(at)
	}
}
