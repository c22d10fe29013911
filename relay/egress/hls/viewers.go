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

// viewers holds the viewers that have requested a playlist recently, because HTTP has no connection
// per viewer. If playing requires a token, the multivariant playlist gives each viewer a session,
// which is part of the viewer's media playlist URLs. Otherwise all viewers have the same URLs, so
// that caches can serve them. Such viewers are identified by address and user agent.
type viewers struct {
	admission egress.Admission
	sessions  Sessions
	seed      maphash.Seed

	mu       sync.Mutex // guards the fields below, and the viewers' fields
	byKey    map[viewerKey]*viewer
	families map[viewerKey]int // number of subscriptions that a session has to a stream and its renditions
	joining  map[joinKey]*pendingJoin
	closed   bool
}

// viewerKey identifies a viewer of a stream.
type viewerKey struct{ stream, session string }

// family returns the key with the stream of which s.stream is a rendition. If it is no rendition,
// family returns s.
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
	// channel is the channel that serves the viewer. After the viewer's subscription has ended, the
	// viewer may still read the end of that channel, but nothing from a channel that has replaced
	// it.
	channel *channel
}

// joinKey identifies a viewer that joins with a token. The token is a secret.
type joinKey struct {
	viewerKey
	token string
}

// pendingJoin is a join in progress. Other requests with the same key come from the same viewer,
// and wait for it.
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
	unknownSession bool   // no relay has issued the session, so it proves nothing
	token          string
	remote, agent  string
	multivariant   bool // for the multivariant playlist, which players request first and only once
}

// checkSession returns r. If no relay has issued the session for the stream, or it is no longer
// valid, checkSession sets unknownSession and, if the request has a token, removes the session.
// Without a token, an unknown session still identifies a viewer of a stream that needs no token. A
// session that has viewers was issued; it ends when their subscriptions end.
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

// key returns the viewer key of a request. A request for the multivariant playlist with a token
// gets a new session. Other requests without a session get one that is derived from address, user
// agent and token, so that all requests of a player have the same.
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

// admit returns the viewer of a request. That is a known viewer if its stream has not ended;
// otherwise the request joins as a new viewer. If joining fails, over is the known viewer whose
// stream has ended, if any.
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
			if abandoned(pending.err) { // the other request was abandoned, but this one still waits
				continue
			}
		}
		if pending.err != nil {
			return nil, known, pending.err
		}
		return pending.viewer, nil, nil
	}
}

// abandoned reports whether err means that a request has stopped waiting.
func abandoned(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// lookup returns the known viewer with a key. If there is none, or its subscription has ended,
// lookup also returns the pending join. first reports whether the caller must perform the join.
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

// join admits a new viewer and adds it.
func (v *viewers) join(ctx context.Context, r request, s viewerKey) (*viewer, error) {
	q := egress.Request{
		App: r.app, Name: r.name, Token: r.token, Protocol: Protocol, Remote: r.remote, Agent: r.agent, Priority: v.priority(r, s),
	}
	if q.Priority != egress.NewViewer { // the viewer has media and continues it
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
	if other := v.byKey[s]; other != nil { // has joined meanwhile with another token, or has ended
		v.remove(other)
	}
	at := &viewer{viewerKey: s, sub: sub, joined: now, lastRequest: now, timeout: minTimeout, sessionInURL: named}
	v.byKey[s] = at
	v.families[s.family()]++
	return at, nil
}

// priority returns the priority of a viewer that joins. A viewer with the URL of a media playlist
// has it from the multivariant playlist, for which it has already waited.
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

// lastChannel returns the channel that has served a viewer whose subscription has ended. It returns
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

// recordResponse records that a viewer has received a media playlist with a target duration in
// seconds. For the viewer's first one, it returns the time since the viewer joined, and true.
func (v *viewers) recordResponse(at *viewer, target int) (took time.Duration, first bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := time.Now()
	at.lastRequest, at.timeout = now, max(minTimeout, 3*time.Duration(target)*time.Second)
	first, at.started = !at.started, true
	return now.Sub(at.joined), first
}

// expire removes the viewers whose timeout since their last request has passed at time now.
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
