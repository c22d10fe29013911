package whip

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/ingest/whip/jitter"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/panics"
)

// track is one RTP stream of a publisher: audio, video, or one simulcast layer of video.
type track struct {
	session  *session
	remote   *webrtc.TrackRemote
	receiver *webrtc.RTPReceiver
	kind     packetbuf.Track

	mu           sync.Mutex // guards the fields below, up to countedLost
	buffer       *jitter.Buffer[*rtp.Packet]
	units        *assembler // for video
	keyRequested time.Time  // when a keyframe was last requested
	nacks        []uint16
	countedLost  uint64 // number of lost packets already counted

	// The session's lock guards the fields below.
	clock *trackClock
	layer *layer // for video
}

// onTrack starts reading a track.
func (s *session) onTrack(remote *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
	t := &track{session: s, remote: remote, receiver: receiver}
	rate := int(remote.Codec().ClockRate)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil || len(s.tracks) == maxLayers+1 || rate == 0 {
		return
	}
	t.clock = s.clocks.newTrack(rate)
	if remote.Kind() == webrtc.RTPCodecTypeVideo {
		f, ok := formats[s.offer.video]
		if !ok {
			return
		}
		t.kind, t.buffer, t.units = packetbuf.Video, jitter.NewVideo[*rtp.Packet](), newAssembler(f)
		t.layer = s.layers.add(t, remote.RID(), s.offer.config)
	} else {
		t.kind, t.buffer = packetbuf.Audio, jitter.NewAudio[*rtp.Packet]()
	}
	s.tracks = append(s.tracks, t)
	s.tasks.Go(t.read)
	s.tasks.Go(t.readReports)
}

// read receives packets until the peer is closed.
func (t *track) read() {
	err := panics.Run(t.receive)
	switch {
	case err == nil:
	case panics.Report(t.session.log, "RTP packets ("+t.kind.String()+") of a publisher session", err):
		t.session.stop(ingest.Protocol, err.Error())
	default:
		t.session.stop(ingest.Kick, err.Error()) // the stream has usually given its reason already
	}
}

// receive receives packets until the peer is closed. It returns an error if the stream no longer
// accepts packets.
func (t *track) receive() error {
	buf := make([]byte, 2048)
	for {
		n, _, err := t.remote.Read(buf)
		if err != nil {
			return nil
		}
		p := &rtp.Packet{}
		if p.Unmarshal(append([]byte(nil), buf[:n]...)) != nil {
			continue
		}
		if err := t.receivePacket(time.Now(), p); err != nil {
			return err
		}
	}
}

// receivePacket handles one packet.
func (t *track) receivePacket(now time.Time, p *rtp.Packet) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	start := jitter.Never
	if t.units != nil && len(p.Payload) > 0 {
		start = t.units.format.startAt(p.Payload)
	}
	t.buffer.Push(now, p.SequenceNumber, p.Timestamp, start, p)
	err := t.deliver(now)
	if t.buffer.Waiting() {
		select {
		case t.session.packetMissing <- struct{}{}:
		default:
		}
	}
	return err
}

// patience returns how long to wait for a missing packet. For audio that is until it would be too
// late to play; for video it is until an answer to a second request could have arrived.
func (t *track) patience() time.Duration {
	rtt, dev := t.session.rtt.estimate()
	if t.kind == packetbuf.Audio {
		return min(max(100*time.Millisecond, rtt), 200*time.Millisecond)
	}
	return min(max(60*time.Millisecond, 2*rtt+4*dev+40*time.Millisecond), 400*time.Millisecond)
}

// deliver writes to the stream the media that is complete at time now. t.mu must be held.
func (t *track) deliver(now time.Time) error {
	for patience := t.patience(); ; {
		p, gap, ok := t.buffer.Pop(now, patience)
		if !ok {
			return nil
		}
		if t.kind == packetbuf.Audio {
			if len(p.Payload) > 0 {
				if err := t.session.writeAudio(now, t, p); err != nil {
					return err
				}
			}
			continue
		}
		units, err := t.units.push(p, gap)
		if err != nil {
			t.layer.keyWanted.Store(true)
		}
		for _, u := range units {
			if err := t.session.writeVideo(now, t, u); err != nil {
				return err
			}
		}
	}
}

// check gives up late packets and requests missing ones. It requests a keyframe if media cannot
// continue without one. It reports whether packets are still missing.
func (t *track) check(now time.Time) (waiting bool) {
	nacks, starves, waiting, err := t.collectDue(now)
	if err != nil {
		t.session.stop(ingest.Kick, err.Error())
		return false
	}
	if len(nacks) > 0 {
		_ = t.session.peer.WriteRTCP([]rtcp.Packet{&rtcp.TransportLayerNack{
			MediaSSRC: uint32(t.remote.SSRC()), Nacks: rtcp.NackPairsFromSequenceNumbers(nacks),
		}})
	}
	if starves {
		t.requestKey(now, neededKeyInterval)
	}
	return waiting
}

// collectDue writes complete media. It returns the packets to request, whether to request a
// keyframe, and whether packets are still missing.
func (t *track) collectDue(now time.Time) (nacks []uint16, starves, waiting bool, err error) {
	rtt, _ := t.session.rtt.estimate()
	t.mu.Lock()
	defer t.mu.Unlock()
	err = t.deliver(now)
	if t.kind == packetbuf.Video {
		t.nacks = t.buffer.Nacks(now, rtt, t.nacks[:0])
		nacks = append(nacks, t.nacks...)
		since := t.buffer.StarvedSince()
		starves = !since.IsZero() && now.Sub(since) >= t.patience()
	}
	counters := t.session.srv.options.Counters
	counters.Asked.Add(uint64(len(nacks)))
	counters.Lost.Add(t.buffer.Lost - t.countedLost)
	t.countedLost = t.buffer.Lost
	return nacks, starves, t.buffer.Waiting(), err
}

// Minimum intervals between keyframe requests for a track: neededKeyInterval while no media can be
// written without a keyframe, and wantedKeyInterval for requests by viewers.
const (
	neededKeyInterval = 500 * time.Millisecond
	wantedKeyInterval = time.Second
)

// requestKey requests a keyframe of this track, unless one was already requested within the
// interval every before time now.
func (t *track) requestKey(now time.Time, every time.Duration) {
	t.mu.Lock()
	due := now.Sub(t.keyRequested) >= every
	if due {
		t.keyRequested = now
	}
	t.mu.Unlock()
	if due {
		_ = t.session.peer.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: uint32(t.remote.SSRC())}})
	}
}

// readReports handles the track's sender reports until the peer is closed.
func (t *track) readReports() {
	if err := panics.Run(t.receiveReports); panics.Report(t.session.log, "RTCP reports of a publisher session", err) {
		t.session.stop(ingest.Protocol, err.Error())
	}
}

func (t *track) receiveReports() error {
	for {
		var packets []rtcp.Packet
		var err error
		if rid := t.remote.RID(); rid != "" {
			packets, _, err = t.receiver.ReadSimulcastRTCP(rid)
		} else {
			packets, _, err = t.receiver.ReadRTCP()
		}
		if err != nil {
			if t.session.ctx.Err() != nil || isClosed(err) {
				return nil
			}
			continue // a malformed packet
		}
		for _, p := range packets {
			if r, ok := p.(*rtcp.SenderReport); ok && r.SSRC == uint32(t.remote.SSRC()) {
				t.report(r)
			}
		}
	}
}

func (t *track) report(r *rtcp.SenderReport) {
	t.session.mu.Lock()
	defer t.session.mu.Unlock()
	t.clock.report(r.NTPTime, r.RTPTime)
}

// isClosed reports whether a read error means the end of the connection.
func isClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) || errors.Is(err, net.ErrClosed)
}
