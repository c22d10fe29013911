package stream

import (
	"maps"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
)

// Snapshot is the state of a stream at one time.
type Snapshot struct {
	Name      string
	State     lifecycle.State
	Since     time.Time // when the state was entered
	HeldUntil time.Time // zero unless held
	Cause     ingest.Cause
	Clock     time.Duration
	Tracks    []codec.Info
	Publisher *Publisher // the active session; nil: none
	Waiting   *Publisher // an accepted session that has not sent a keyframe; nil: none
	Spare     *Publisher // the standby: a backup, or the primary while a backup feeds the stream; nil: none
	OnBackup  bool       // Publisher and Waiting are backups
	Viewers   map[string]int
	Breaks    map[ingest.Cause]int
	Buffer    packetbuf.Stats
	Limits    packetbuf.Limits // limits of the buffer
	Ceiling   float64          // bitrate in bits per second that the publisher is asked to stay below; 0: none
	Cap       float64          // ceiling set by the operator, in bits per second; 0: none
	Epoch     uint32           // number of publisher sessions that have fed the stream
	Received  uint64           // media bytes from publishers
	Sent      uint64           // media bytes that viewers of the stream itself have read
}

// Publisher is the state of a publisher session at one time.
type Publisher struct {
	Session, Protocol, Remote, Agent string
	Since                            time.Time
	Bitrate, FrameRate               float64 // bits and video frames per second, over the last seconds
	AudioBitrate                     float64 // part of Bitrate
	RTT, Gap, Quiet                  time.Duration
	Jitter                           time.Duration
	Heartbeat                        time.Duration // heartbeat interval requested from the publisher; 0: none
	Keyframes                        time.Duration // interval between the newest two keyframes; 0 while unknown
	Ready                            bool          // of the standby: whether it can take over at once
	// ReturnsIn is how much longer a primary on standby must be healthy before it feeds the stream
	// again; nil for all other sessions.
	ReturnsIn *time.Duration
	Repairs   []packetbuf.Repair // repairs of its media
	Reorders  bool               // whether it sends B-frames, which browsers cannot display over WebRTC
}

// Snapshot returns the state of the stream at time now.
func (s *Stream) Snapshot(now time.Time) Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	state, cause := s.machine.State()
	clock := max(s.clock.Clock(packetbuf.Video, now), s.clock.Clock(packetbuf.Audio, now))
	out := Snapshot{
		Name: s.name, State: state, Since: s.since, HeldUntil: s.machine.HeldUntil(), Cause: cause, Clock: clock,
		Limits:    s.cfg.Load().Buffer,
		Publisher: s.publisher(now, s.machine.Current()), Waiting: s.publisher(now, s.machine.Waiting()),
		Spare: s.publisher(now, s.machine.Spare()), OnBackup: s.machine.OnBackup(),
		Viewers: maps.Clone(s.viewers), Breaks: maps.Clone(s.ending.breaks), Buffer: s.ring.Stats(), Epoch: s.epoch - s.slates, Ceiling: s.ceilings.least(), Cap: s.ceilings.operator,
		Received: s.received, Sent: s.taken.Load(),
	}
	for _, tr := range []packetbuf.Track{packetbuf.Video, packetbuf.Audio} {
		if cfg := s.sent[tr]; cfg != nil {
			if info, err := codec.Describe(cfg); err == nil {
				out.Tracks = append(out.Tracks, info)
			}
		}
	}
	return out
}

// publisher returns the state of the session with that ID at time now, or nil if it does not exist.
// s.mu is held.
func (s *Stream) publisher(now time.Time, id lifecycle.ID) *Publisher {
	pub := s.publishers[id]
	if pub == nil {
		return nil
	}
	p := &Publisher{
		Session: pub.session.ID(), Protocol: pub.req.Protocol, Remote: pub.req.Remote, Agent: pub.req.Agent,
		Since: pub.accepted, Gap: pub.Gap(), Quiet: pub.SinceMedia(now), Reorders: pub.Reorders(),
	}
	if id == s.machine.Spare() {
		p.Ready = sessionProbe{s}.Ready(id, now)
		if left, ok := s.machine.ReturnsIn(now); ok {
			p.ReturnsIn = &left
		}
	}
	p.Bitrate, p.AudioBitrate, p.FrameRate = pub.Rates(now)
	p.RTT, _ = pub.session.RTT()
	if b, ok := pub.session.(ingest.Beater); ok {
		p.Heartbeat = b.Heartbeat()
	}
	if r, ok := pub.session.(ingest.RepairReporter); ok {
		p.Repairs = r.Repairs()
	}
	if pub.repairs != nil {
		p.Repairs = append(p.Repairs, pub.repairs.Repairs()...)
	}
	p.Jitter, p.Keyframes = pub.Jitter(), pub.KeyframeInterval()
	return p
}
