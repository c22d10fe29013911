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

// session is the session of one publisher and its peer connection, from the offer to the end.
type session struct {
	srv            *Server
	id             string // for logs and the API; not the id in its URL
	request        ingest.Request
	offer          *offeredMedia
	peer           *rtcsock.Peer
	log            *slog.Logger
	release        func()
	onConnected    func()        // called when the peer has connected
	onEnded        func()        // called when the session is over
	onReleased     func()        // called when all resources are released
	connectTimeout time.Duration // how long the peer may take to connect

	ctx           context.Context //nolint:containedctx // ends the session's goroutines
	cancel        context.CancelFunc
	tasks         sync.WaitGroup
	finishOnce    sync.Once
	connected     atomic.Bool   // the peer has connected
	ceiling       atomic.Int64  // bits per second; 0 for none
	keyWanted     atomic.Bool   // a keyframe has been requested
	packetMissing chan struct{} // capacity 1: a packet is missing
	rtt           roundTrip

	mu     sync.Mutex // guards the fields below and writes to sinks; locked after a track's mu
	clocks clocks
	tracks []*track
	main   *publication
	layers layers

	endMu sync.Mutex // guards the field below
	why   ending
}

// ending is the reason why a session ends. The first reason counts.
type ending struct {
	cause  ingest.Cause
	detail string
}

var sessionCount atomic.Uint64

// sessionID returns an ID for logs and the API. The ID in the session's URL is another one, which
// is a secret.
func sessionID() string {
	return fmt.Sprintf("whip-%d-%06x", sessionCount.Add(1), rand.Uint32()&0xffffff) //nolint:gosec // no secret
}

func newSession(s *Server, r signal.Request, offer *offeredMedia, release func()) *session {
	ses := &session{
		srv: s, id: sessionID(), offer: offer, release: release, packetMissing: make(chan struct{}, 1),
		onConnected: r.Connected, onEnded: r.Ended, connectTimeout: s.options.Connect,
	}
	// The connection timeout must be shorter than the watchdog's time for the first media: without
	// a connection, the cause is the network path, and not missing media.
	if first := s.options.FirstMedia(r.App, r.Name); first > 0 {
		ses.connectTimeout = min(ses.connectTimeout, first*4/5)
	}
	ses.request = ingest.Request{
		App: r.App, Name: r.Name, Key: r.Secret, Backup: r.Query("backup") == "1",
		Protocol: ingest.WHIP, Remote: r.Remote, Agent: r.Agent, Session: ses,
	}
	ses.log = s.options.Log.With("session", ses.id, "stream", r.App+"/"+r.Name)
	ses.ctx, ses.cancel = context.WithCancel(context.Background())
	return ses
}

// start publishes the stream and answers the offer.
func (s *session) start(ctx context.Context, r signal.Request) (string, error) {
	sink, err := s.srv.options.Access.Publish(ctx, s.request)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	s.main = &publication{session: s, sink: sink}
	s.mu.Unlock()
	if err := r.Enter(); err != nil {
		return "", err
	}
	media, chain, err := s.offer.engine()
	if err != nil {
		return "", err
	}
	peer, err := s.srv.options.Sockets.NewPeer(media, chain)
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
	if err := s.preferCodecs(); err != nil {
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

// preferCodecs restricts the answer to the preferred codec for each of video and audio.
func (s *session) preferCodecs() error {
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
		if !s.connected.Swap(true) {
			s.onConnected()
		}
	case webrtc.PeerConnectionStateFailed:
		s.stop(ingest.ICE, "ICE failed: nothing came from the publisher for too long")
	case webrtc.PeerConnectionStateClosed:
		// Stop at once, because a closed session must not block the next one.
		s.stop(ingest.EOF, "the publisher closed the connection")
	default:
	}
}

// run serves the session until it ends: it requests missing packets, gives up late ones, and sends
// the publisher its ceiling.
func (s *session) run() {
	if err := panics.Run(s.loop); panics.Report(s.log, "publisher session", err) {
		s.stop(ingest.Protocol, err.Error())
	}
	s.finish()
}

// loop is the loop of run.
func (s *session) loop() error {
	const soon, seldom = 10 * time.Millisecond, 100 * time.Millisecond
	tick := time.NewTimer(seldom)
	defer tick.Stop()
	deadline := time.NewTimer(s.connectTimeout)
	defer deadline.Stop()
	var told rembScheduler
	for {
		select {
		case <-s.ctx.Done():
			return nil
		case <-deadline.C:
			if !s.connected.Load() {
				s.stop(ingest.ICE, "no connection came about; check that UDP reaches webrtc.udp_listen, and webrtc.public_ips")
			}
		case <-s.packetMissing:
			tick.Reset(soon)
		case now := <-tick.C:
			next := seldom
			if s.checkTracks(now) {
				next = soon
			}
			s.sendCeiling(now, &told)
			tick.Reset(next)
		}
	}
}

// checkTracks performs the tasks that are due for each track. It reports whether more will be due
// soon.
func (s *session) checkTracks(now time.Time) (more bool) {
	if s.connected.Load() { // before that, pion is still setting up the transport
		s.rtt.measure(now, s.peer)
	}
	s.mu.Lock()
	tracks := s.tracks
	s.mu.Unlock()
	for _, t := range tracks {
		more = t.check(now) || more
	}
	for _, one := range s.keysDue(now) {
		one.track.requestKey(now, wantedKeyInterval) // repeated until a keyframe arrives
	}
	return more
}

// keysDue returns the layers whose publisher must be asked for a keyframe at time now.
func (s *session) keysDue(now time.Time) []*layer {
	every := s.srv.options.KeyframeInterval(s.request.App, s.request.Name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.layers.all) > 0 && s.keyWanted.Swap(false) {
		s.layers.requestKey()
	}
	s.layers.endClosed()
	return s.layers.keysDue(now, every)
}

// stop makes the session end. cause and detail have no effect if the session already has a reason
// to end.
func (s *session) stop(cause ingest.Cause, detail string) {
	s.endMu.Lock()
	if s.why.cause == "" {
		s.why = ending{cause, detail}
	}
	s.endMu.Unlock()
	s.cancel()
}

// abort is like stop followed by finish, for a session whose loop does not run.
func (s *session) abort(cause ingest.Cause, detail string) {
	s.stop(cause, detail)
	s.finish()
}

// finish closes the peer, once, and releases everything when the session's goroutines have ended.
func (s *session) finish() {
	s.finishOnce.Do(func() {
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
			s.layers.endAll(why.cause, why.detail)
			if s.main != nil {
				s.main.end(why.cause, why.detail)
			}
			s.mu.Unlock()
			s.onEnded()
			s.release()
			s.onReleased()
		}()
	})
}

// ID implements ingest.Session.
func (s *session) ID() string { return s.id }

// Close implements ingest.Session.
func (s *session) Close(cause ingest.Cause, reason string) { s.stop(cause, reason) }

// RequestKey implements ingest.KeyRequester.
func (s *session) RequestKey() { s.keyWanted.Store(true) }

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
