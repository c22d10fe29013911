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

// viewer is one viewer's peer, from its offer to its end. It implements signal.Session.
type viewer struct {
	srv     *Server
	log     *slog.Logger
	place   Subscription
	peer    *rtcsock.Peer
	video   *track // nil: the viewer does not take any
	audio   *track
	begun   time.Time // when it asked
	release func()
	connect func() // tells that the peer has connected
	ended   func() // tells that the session is over
	left    func() // tells that nothing of it is left
	enter   func() error

	ctx       context.Context //nolint:containedctx // ends what the viewer has started
	cancel    context.CancelFunc
	connected chan struct{}
	once      sync.Once
	lost      atomic.Bool // the viewer asks for a keyframe
	failed    atomic.Bool // ICE gave the viewer up
	reading   sync.WaitGroup

	// One goroutine sends, and has these.
	skips   egress.SkipLog
	pace    pace
	epoch   time.Time // the wall time at the stream's 0, as the viewer is told
	told    time.Time // when it was last told
	pleaded time.Time // when a keyframe was last asked for
	started bool
	waiting bool // a keyframe was asked for, and none was sent since
	strange bool // a codec has come that the viewer does not take
}

func newViewer(s *Server, r signal.Request, place Subscription, begun time.Time, release func()) *viewer {
	v := &viewer{
		srv: s, place: place, begun: begun, release: release, connect: r.Connected, ended: r.Ended, enter: r.Enter, connected: make(chan struct{}),
	}
	v.log = s.o.Log.With("protocol", Protocol, "stream", r.App+"/"+r.Name, "remote", r.Remote, "session", fmt.Sprintf("whep-%d", s.count.Add(1)))
	v.skips = egress.NewSkipLog(func() *slog.Logger { return v.log })
	v.ctx, v.cancel = context.WithCancel(context.Background())
	return v
}

// answer makes the peer and answers the offer. Both tracks are agreed on where the viewer takes
// them, also one that the stream does not have now: there is no second negotiation.
func (v *viewer) answer(ctx context.Context, offer string, w wish) (string, error) {
	video, audio, err := v.agree(w)
	if err != nil {
		return "", err
	}
	if err := v.enter(); err != nil {
		return "", err
	}
	engine, chain, err := media(video, audio)
	if err != nil {
		return "", err
	}
	if v.peer, err = v.srv.o.Sockets.NewPeer(engine, chain); err != nil {
		return "", err
	}
	v.peer.OnConnectionStateChange(v.onState)
	if video != nil {
		v.video = newTrack(webrtc.RTPCodecTypeVideo, *video)
		if err := v.send(v.video); err != nil {
			return "", err
		}
	}
	if audio != nil {
		v.audio = newTrack(webrtc.RTPCodecTypeAudio, *audio)
		if err := v.send(v.audio); err != nil {
			return "", err
		}
	}
	if err := v.peer.Offer(offer); err != nil {
		return "", err
	}
	return v.peer.Answer(ctx)
}

// agree chooses the payload types for what the stream has.
func (v *viewer) agree(w wish) (video, audio *webrtc.RTPCodecParameters, err error) {
	c := v.place.VideoCodec()
	known := c != packetbuf.NoCodec
	if !known {
		c = packetbuf.H264
	}
	one, ok := choose(w.video, c, v.place.Config(packetbuf.Video))
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
		return nil, nil, signal.Unsupported("the offer takes nothing that there is", "offer to receive H.264 video and Opus audio, recvonly")
	}
	return video, audio, nil
}

// send has the peer send a track, and reads what comes back for it.
func (v *viewer) send(t *track) error {
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

// readFeedback reads what a viewer has to say of a track, until the peer is closed.
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
				v.srv.o.Repeats.Add(uint64(t.repeat(time.Now(), p))) //nolint:gosec // a count
			case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
				v.lost.Store(true)
			}
		}
	}
}

func (v *viewer) onState(state webrtc.PeerConnectionState) {
	v.log.Debug("peer", "state", state.String())
	switch state {
	case webrtc.PeerConnectionStateConnected:
		v.once.Do(func() {
			v.connect()
			close(v.connected)
		})
	case webrtc.PeerConnectionStateFailed:
		v.failed.Store(true)
		v.cancel()
	case webrtc.PeerConnectionStateClosed:
		v.cancel()
	default:
	}
}

// end closes everything. Who has run must have come to its end.
func (v *viewer) end() {
	v.cancel()
	if v.peer != nil {
		_ = v.peer.Close()
	}
	v.reading.Wait()
	v.place.Close()
	v.release()
	v.ended()
	v.left()
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
