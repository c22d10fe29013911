package stream

import (
	"fmt"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/stream/standby"
)

// switchOver makes session pub, until now the standby, feed the stream. If pub sends the same
// encoder's frames as viewers have received, the stream continues with the next frame; otherwise it
// starts at the newest keyframe of pub. s.mu is held.
func (s *Stream) switchOver(now time.Time, pub *publisherSession, cause ingest.Cause) {
	if old := s.publishers[s.machine.Spare()]; old != nil && cause != "" {
		old.gopWindow.Clear() // old has broken, and starts again if it returns
	}
	e := Event{Time: now, Type: BackupOff, Cause: cause, After: s.activeSession}
	s.standby.returning = standby.Returning{}
	track := packetbuf.Video
	if !s.present[packetbuf.Video] {
		track = packetbuf.Audio
	}
	plan := standby.Plan(s.standby.sentWindow, pub.gopWindow, track, s.frozen, pub.SameConfigs(s.sent), s.clock.Same)
	pub.gopWindow.Clear()
	if plan.Aligned != nil {
		s.follow(now, pub, plan)
	} else {
		s.splice(now, pub, plan.Packets[0])
		for _, p := range plan.Packets[1:] {
			s.place(now, pub, p)
		}
	}
	if pub.req.Backup {
		e.Type = BackupOn
		if wait := s.machine.ReturnAfter(); wait > s.cfg.Load().BackupReturn {
			e.Detail = fmt.Sprintf("the primary broke soon after its return: it has the stream again when it has been healthy for %v", wait)
		}
	}
	s.tellOf(pub, e)
}

// follow continues the stream with a standby that sends the same encoder's frames as viewers have
// received. s.mu is held.
func (s *Stream) follow(now time.Time, pub *publisherSession, plan standby.Switchover) {
	s.clock.Follow(plan.Aligned, plan.At)
	s.activate(now, pub)
	for _, p := range plan.Packets {
		if last, begun := s.clock.Last(p.Track); !begun || s.clock.Where(p) > last {
			s.place(now, pub, p)
		} else {
			s.retainActive(pub, p)
		}
	}
}
