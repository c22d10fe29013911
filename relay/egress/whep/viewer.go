package whep

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"

	"github.com/holdfast-live/holdfast/ingest/rtcsock"
	"github.com/holdfast-live/holdfast/ingest/rtcsock/signal"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/panics"
	"github.com/holdfast-live/holdfast/relay/egress"
)

// viewer is the session of one viewer, from its offer to its end. It implements signal.Session.
type viewer struct {
	server      *Server
	log         *slog.Logger
	sub         Subscription
	peer        *rtcsock.Peer
	video       *track // nil if the viewer does not receive video
	audio       *track
	start       time.Time // when the offer arrived
	release     func()
	onConnected func() // called when the peer has connected
	onEnded     func() // called when the session has ended
	unregister  func() // called when all goroutines have ended
	enter       func() error

	ctx            context.Context //nolint:containedctx // ends the viewer's goroutines
	cancel         context.CancelFunc
	connected      chan struct{}
	once           sync.Once
	keyframeWanted atomic.Bool // the viewer requests a keyframe
	iceFailed      atomic.Bool // ICE has failed
	reading        sync.WaitGroup

	// The fields below are used only by the sending goroutine.
	skips        egress.SkipLog
	pacer        pacer
	epoch        time.Time // wall time at time 0 of the stream's clock, for sender reports
	reported     time.Time // when the last sender reports were sent
	keyRequested time.Time // when a keyframe was last requested
	started      bool
	awaitingKey  bool // a keyframe was requested, and none has been sent since
	unsupported  bool // the stream has video in a codec that the viewer did not accept
}

func newViewer(s *Server, r signal.Request, sub Subscription, start time.Time, release func()) *viewer {
	v := &viewer{
		server: s, sub: sub, start: start, release: release, onConnected: r.Connected, onEnded: r.Ended, enter: r.Enter, connected: make(chan struct{}),
	}
	v.log = s.opts.Log.With("protocol", Protocol, "stream", r.App+"/"+r.Name, "remote", r.Remote, "session", fmt.Sprintf("whep-%d", s.count.Add(1)))
	v.skips = egress.NewSkipLog(func() *slog.Logger { return v.log })
	v.ctx, v.cancel = context.WithCancel(context.Background())
	return v
}

// answer creates the peer and answers the offer. It negotiates audio and video if the viewer
// accepts them, even if the stream does not have both yet, because there is no renegotiation.
func (v *viewer) answer(ctx context.Context, offer string, w offeredCodecs) (string, error) {
	video, audio, err := v.negotiate(w)
	if err != nil {
		return "", err
	}
	if err := v.enter(); err != nil {
		return "", err
	}
	engine, chain, err := newEngine(video, audio)
	if err != nil {
		return "", err
	}
	if v.peer, err = v.server.opts.Sockets.NewPeer(engine, chain); err != nil {
		return "", err
	}
	v.peer.OnConnectionStateChange(v.onState)
	if video != nil {
		v.video = newTrack(webrtc.RTPCodecTypeVideo, *video)
		if err := v.addTrack(v.video); err != nil {
			return "", err
		}
	}
	if audio != nil {
		v.audio = newTrack(webrtc.RTPCodecTypeAudio, *audio)
		if err := v.addTrack(v.audio); err != nil {
			return "", err
		}
	}
	if err := v.peer.Offer(offer); err != nil {
		return "", err
	}
	return v.peer.Answer(ctx)
}

// negotiate chooses the payload types for the tracks.
func (v *viewer) negotiate(w offeredCodecs) (video, audio *webrtc.RTPCodecParameters, err error) {
	c := v.sub.VideoCodec()
	known := c != packetbuf.NoCodec
	if !known {
		c = packetbuf.H264
	}
	one, ok := choose(w.video, c, v.sub.Config(packetbuf.Video))
	switch {
	case ok:
		video = &one
	case known && w.video != nil:
		return nil, nil, signal.Unsupported(fmt.Sprintf("the stream is %s, which is not offered", c),
			"use a player that decodes it, or have the stream published as H.264")
	}
	if one, ok := choose(w.audio, packetbuf.Opus, nil); ok {
		audio = &one
	}
	if video == nil && audio == nil {
		return nil, nil, signal.Unsupported("the offer accepts no codec of the stream", "offer to receive H.264 video and Opus audio, recvonly")
	}
	return video, audio, nil
}

// addTrack adds a track to the peer, and starts reading its RTCP feedback.
func (v *viewer) addTrack(t *track) error {
	sender, err := v.peer.AddTrack(t)
	if err != nil {
		return fmt.Errorf("WHEP track: %w", err)
	}
	v.reading.Go(func() {
		err := panics.Run(func() error {
			v.readFeedback(t, sender)
			return nil
		})
		if panics.Report(v.log, "RTCP reports of a viewer session", err) {
			v.cancel()
		}
	})
	return nil
}

// readFeedback handles the RTCP feedback for a track until the peer is closed.
func (v *viewer) readFeedback(t *track, sender *webrtc.RTPSender) {
	buf := make([]byte, 2048)
	for {
		n, _, err := sender.Read(buf)
		if errors.Is(err, io.ErrShortBuffer) {
			continue
		}
		if err != nil {
			return
		}
		packets, err := rtcp.Unmarshal(buf[:n])
		if err != nil {
			continue
		}
		for _, p := range packets {
			switch p := p.(type) {
			case *rtcp.TransportLayerNack:
				v.server.opts.Repeats.Add(uint64(t.repeat(time.Now(), p))) //nolint:gosec // a count
			case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
				v.keyframeWanted.Store(true)
			}
		}
	}
}

func (v *viewer) onState(state webrtc.PeerConnectionState) {
	v.log.Debug("peer", "state", state.String())
	switch state {
	case webrtc.PeerConnectionStateConnected:
		v.once.Do(func() {
			v.onConnected()
			close(v.connected)
		})
	case webrtc.PeerConnectionStateFailed:
		v.iceFailed.Store(true)
		v.cancel()
	case webrtc.PeerConnectionStateClosed:
		v.cancel()
	default:
	}
}

// close closes the session. It must not be called while run is running, except by run itself.
func (v *viewer) close() {
	v.cancel()
	if v.peer != nil {
		_ = v.peer.Close()
	}
	v.reading.Wait()
	v.sub.Close()
	v.release()
	v.onEnded()
	v.unregister()
}

// Trickle implements signal.Session.
func (v *viewer) Trickle(f rtcsock.Fragment) error { return v.peer.Trickle(f) }

// Restart implements signal.Session.
func (v *viewer) Restart(ctx context.Context, f rtcsock.Fragment) (rtcsock.Fragment, error) {
	return v.peer.Restart(ctx, f)
}

// RemoteUfrag implements signal.Session.
func (v *viewer) RemoteUfrag() string { return v.peer.RemoteUfrag() }

// Delete implements signal.Session.
func (v *viewer) Delete() { v.cancel() }
