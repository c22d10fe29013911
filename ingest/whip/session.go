package whip

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/ingest/rtcsock"
	"github.com/holdfast-live/holdfast/ingest/rtcsock/signal"
	"github.com/holdfast-live/holdfast/packetbuf/panics"
)

// session is one publisher's peer connection, from its offer to its end.
type session struct {
	srv     *Server
	id      string // for logs and the API; not the id in its URL
	request ingest.Request
	offer   *offered
	peer    *rtcsock.Peer
	log     *slog.Logger
	release func()
	connect func()        // called when the peer has connected
	ended   func()        // called when the session is over
	left    func()        // called when all resources are released
	limit   time.Duration // until the peer must be connected

	ctx     context.Context //nolint:containedctx // ends the session's goroutines
	cancel  context.CancelFunc
	tasks   sync.WaitGroup
	over    sync.Once
	up      atomic.Bool   // the peer has connected
	ceiling atomic.Int64  // bits per second; 0 for none
	wanted  atomic.Bool   // a keyframe has been requested
	missing chan struct{} // of capacity one: a packet is missing
	rtt     roundTrip

	mu     sync.Mutex // guards the fields below and writes to sinks; locked after a track's mu
	clocks clocks
	tracks []*track
	main   *publication
	layers layers

	endMu sync.Mutex // guards the field below
	why   ending
}

// ending is why a session ends; the first reason counts.
type ending struct {
	cause  ingest.Cause
	detail string
}

var sessionCount atomic.Uint64

// sessionID returns an id for logs and the API, which is independent of the session's URL.
func sessionID() string {
	return fmt.Sprintf("whip-%d-%06x", sessionCount.Add(1), rand.Uint32()&0xffffff) //nolint:gosec // no secret
}

func newSession(s *Server, r signal.Request, offer *offered, release func()) *session {
	ses := &session{
		srv: s, id: sessionID(), offer: offer, release: release, missing: make(chan struct{}, 1),
		connect: r.Connected, ended: r.Ended, limit: s.o.Connect,
	}
	// Before the watchdog reports missing media: without a connection the network path is the cause.
	if first := s.o.FirstMedia(r.App, r.Name); first > 0 {
		ses.limit = min(ses.limit, first*4/5)
	}
	ses.request = ingest.Request{
		App: r.App, Name: r.Name, Key: r.Secret, Backup: r.Query("backup") == "1",
		Protocol: ingest.WHIP, Remote: r.Remote, Agent: r.Agent, Session: ses,
	}
	ses.log = s.o.Log.With("session", ses.id, "stream", r.App+"/"+r.Name)
	ses.ctx, ses.cancel = context.WithCancel(context.Background())
	return ses
}

// begin publishes the stream and answers the offer.
func (s *session) begin(ctx context.Context, r signal.Request) (string, error) {
	sink, err := s.srv.o.Access.Publish(ctx, s.request)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	s.main = &publication{session: s, sink: sink}
	s.mu.Unlock()
	if err := r.Enter(); err != nil {
		return "", err
	}
	media, chain, err := s.offer.media()
	if err != nil {
		return "", err
	}
	peer, err := s.srv.o.Sockets.NewPeer(media, chain)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	s.peer = peer
	s.mu.Unlock()
	peer.OnTrack(s.onTrack)
	peer.OnConnectionStateChange(s.onState)
	if err := peer.Offer(r.Offer); err != nil {
		return "", err
	}
	if err := s.choose(); err != nil {
		return "", err
	}
	answer, err := peer.Answer(ctx)
	if err != nil {
		return "", err
	}
	s.tasks.Go(s.run)
	s.log.Debug("whip answered", "video", s.offer.video.String(), "audio", s.offer.audio.String(), "layers", s.offer.layers)
	return answer, nil
}

// choose restricts the answer to the preferred codec of each kind.
func (s *session) choose() error {
	for _, t := range s.peer.GetTransceivers() {
		list := s.offer.videos
		if t.Kind() == webrtc.RTPCodecTypeAudio {
			list = s.offer.audios
		}
		if len(list) == 0 {
			continue
		}
		if err := t.SetCodecPreferences(list); err != nil {
			return fmt.Errorf("%w: %w", rtcsock.ErrOffer, err)
		}
	}
	return nil
}

// onState handles a change of the peer connection's state.
func (s *session) onState(state webrtc.PeerConnectionState) {
	s.log.Debug("peer", "state", state.String())
	switch state {
	case webrtc.PeerConnectionStateConnected:
		if !s.up.Swap(true) {
			s.connect()
		}
	case webrtc.PeerConnectionStateFailed:
		s.stop(ingest.ICE, "ICE failed: nothing came from the publisher for too long")
	case webrtc.PeerConnectionStateClosed:
		// At once: a closed push must not block the next one.
		s.stop(ingest.EOF, "the publisher closed the connection")
	default:
	}
}

// run serves the session until it ends: it requests missing packets, gives up late ones, and sends the
// publisher its ceiling.
func (s *session) run() {
	if err := panics.Run(s.attend); panics.Report(s.log, "publisher session", err) {
		s.stop(ingest.Protocol, err.Error())
	}
	s.finish()
}

// attend is the loop of run.
func (s *session) attend() error {
	const soon, seldom = 10 * time.Millisecond, 100 * time.Millisecond
	tick := time.NewTimer(seldom)
	defer tick.Stop()
	deadline := time.NewTimer(s.limit)
	defer deadline.Stop()
	var told teller
	for {
		select {
		case <-s.ctx.Done():
			return nil
		case <-deadline.C:
			if !s.up.Load() {
				s.stop(ingest.ICE, "no connection came about; check that UDP reaches webrtc.udp_listen, and webrtc.public_ips")
			}
		case <-s.missing:
			tick.Reset(soon)
		case now := <-tick.C:
			next := seldom
			if s.look(now) {
				next = soon
			}
			s.tellCeiling(now, &told)
			tick.Reset(next)
		}
	}
}

// look does what is due on each track, and reports whether more is due soon.
func (s *session) look(now time.Time) (more bool) {
	if s.up.Load() { // earlier, pion is still setting up the transport
		s.rtt.look(now, s.peer)
	}
	s.mu.Lock()
	tracks := s.tracks
	s.mu.Unlock()
	for _, t := range tracks {
		more = t.look(now) || more
	}
	for _, one := range s.keysDue(now) {
		one.track.requestKey(now, wishEvery) // repeated until one arrives
	}
	return more
}

// keysDue returns the layers to ask for a keyframe.
func (s *session) keysDue(now time.Time) []*layer {
	every := s.srv.o.KeyframeInterval(s.request.App, s.request.Name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.layers.all) > 0 && s.wanted.Swap(false) {
		s.layers.want()
	}
	s.layers.leave()
	return s.layers.keysDue(now, every)
}

// stop makes the session end, for the given cause if it is the first.
func (s *session) stop(cause ingest.Cause, detail string) {
	s.endMu.Lock()
	if s.why.cause == "" {
		s.why = ending{cause, detail}
	}
	s.endMu.Unlock()
	s.cancel()
}

// end is stop and finish for a session whose loop does not run.
func (s *session) end(cause ingest.Cause, detail string) {
	s.stop(cause, detail)
	s.finish()
}

// finish ends the session, once.
func (s *session) finish() {
	s.over.Do(func() {
		s.endMu.Lock()
		why := s.why
		s.endMu.Unlock()
		s.mu.Lock()
		peer := s.peer
		s.mu.Unlock()
		if peer != nil {
			_ = peer.Close()
		}
		go func() { // finish may run on one of the goroutines waited for
			s.tasks.Wait()
			s.mu.Lock()
			s.layers.end(why.cause, why.detail)
			if s.main != nil {
				s.main.end(why.cause, why.detail)
			}
			s.mu.Unlock()
			s.ended()
			s.release()
			s.left()
		}()
	})
}

// ID implements ingest.Session.
func (s *session) ID() string { return s.id }

// Close implements ingest.Session.
func (s *session) Close(cause ingest.Cause, reason string) { s.stop(cause, reason) }

// RequestKey implements ingest.KeyRequester.
func (s *session) RequestKey() { s.wanted.Store(true) }

// RTT implements ingest.Session.
func (s *session) RTT() (srtt, rttvar time.Duration) { return s.rtt.get() }

// Trickle implements signal.Session.
func (s *session) Trickle(f rtcsock.Fragment) error { return s.peer.Trickle(f) }

// Restart implements signal.Session.
func (s *session) Restart(ctx context.Context, f rtcsock.Fragment) (rtcsock.Fragment, error) {
	s.log.Info("ICE restarts")
	return s.peer.Restart(ctx, f)
}

// RemoteUfrag implements signal.Session.
func (s *session) RemoteUfrag() string { return s.peer.RemoteUfrag() }

// Delete implements signal.Session. It ends the session cleanly.
func (s *session) Delete() { s.stop(ingest.Unpublish, "the publisher deleted its session") }
