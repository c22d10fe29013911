package app

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/ingest/rtcsock"
	"github.com/holdfast-live/holdfast/ingest/whip"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/qos/snapshot"
	"github.com/holdfast-live/holdfast/relay/api"
	"github.com/holdfast-live/holdfast/relay/egress/mse"
	"github.com/holdfast-live/holdfast/relay/hub"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
	"github.com/holdfast-live/holdfast/relay/rendition"
	"github.com/holdfast-live/holdfast/relay/route"
	"github.com/holdfast-live/holdfast/relay/stream"
)

// relay provides the state of the running relay to the API and the metrics. It implements api.Relay.
type relay struct {
	hub      *hub.Hub
	routes   *route.Routes
	bridges  *rendition.Bridges
	counters *stream.Counters
	sent     map[string]*atomic.Uint64 // bytes sent to viewers, by protocol
	repeats  atomic.Uint64             // packets resent to viewers over WebRTC
	skipped  atomic.Uint64             // skips of viewers over WebSocket, whom streams do not count
	received whip.Counters
	repairs  ingest.Repairs                  // repairs of publishers' media
	sockets  atomic.Pointer[rtcsock.Sockets] // nil without WebRTC
	settings *settings
	slots    *ingest.Slots
	memory   *memory
	ready    atomic.Bool
}

var errNotReady = errors.New("the relay is starting or shutting down")

// Ready implements api.Relay.
func (r *relay) Ready() error {
	if !r.ready.Load() {
		return errNotReady
	}
	return nil
}

// Streams implements api.Relay.
func (r *relay) Streams() []api.Stream {
	now := time.Now()
	out := []api.Stream{}
	for _, s := range r.hub.List() {
		out = append(out, view(s.Snapshot(now)))
	}
	return out
}

// Briefs implements api.Relay.
func (r *relay) Briefs() []api.Brief {
	all := r.hub.List()
	out := make([]api.Brief, 0, len(all))
	for _, s := range all {
		out = append(out, api.Brief{Name: s.Name(), State: s.State().String(), Viewers: s.Audience()})
	}
	return out
}

// Stream implements api.Relay.
func (r *relay) Stream(name string) (api.Stream, bool) {
	s := r.hub.Find(name)
	if s == nil {
		return api.Stream{}, false
	}
	return view(s.Snapshot(time.Now())), true
}

// Kick implements api.Relay.
func (r *relay) Kick(name string) bool {
	s := r.hub.Find(name)
	return s != nil && s.Kick("the operator ended this push")
}

// Cap implements api.Relay.
func (r *relay) Cap(name string, bits float64) (asked, ok bool) {
	s := r.hub.Find(name)
	if s == nil {
		return false, false
	}
	return s.Cap(bits), true
}

func view(s stream.Snapshot) api.Stream {
	out := api.Stream{
		Name: s.Name, State: s.State.String(), Since: s.Since, Cause: string(s.Cause), Clock: s.Clock.Seconds(),
		Tracks: []api.Track{}, Publisher: publisher(s.Publisher), Waiting: publisher(s.Waiting),
		Viewers: s.Viewers, Breaks: map[string]int{}, Sessions: s.Epoch, Ceiling: s.Ceiling, Cap: s.Cap, Received: s.Received, Sent: s.Sent,
		Buffer: api.Buffer{
			Seconds: (s.Buffer.Newest - s.Buffer.Oldest).Seconds(), Bytes: s.Buffer.Bytes,
			Packets: s.Buffer.Packets, GOPs: s.Buffer.GOPs,
		},
	}
	if !s.HeldUntil.IsZero() {
		out.HeldUntil = &s.HeldUntil
	}
	out.Publishers = publishers(s)
	for c, n := range s.Breaks {
		out.Breaks[string(c)] = n
	}
	for _, t := range s.Tracks {
		out.Tracks = append(out.Tracks, api.Track{
			Codec: t.Codec.String(), Profile: t.Profile, Level: t.Level, RFC6381: t.RFC6381,
			Width: t.Width, Height: t.Height, FrameRate: t.FrameRate, SampleRate: t.SampleRate, Channels: t.Channels,
		})
	}
	return out
}

// publishers returns the publishers of a stream with their roles. The active one, if any, is first.
func publishers(s stream.Snapshot) []api.Push {
	out := []api.Push{}
	add := func(p *stream.Publisher, backup, active bool) {
		if p != nil {
			push := api.Push{Role: role(backup), Active: active, Ready: active || p.Ready, Publisher: *publisher(p)}
			if p.ReturnsIn != nil {
				left := p.ReturnsIn.Seconds()
				push.ReturnsIn = &left
			}
			out = append(out, push)
		}
	}
	add(s.Publisher, s.OnBackup, s.State == lifecycle.Live || s.State == lifecycle.Suspect)
	add(s.Waiting, s.OnBackup, false)
	add(s.Spare, !s.OnBackup, false)
	return out
}

// backup returns the value of the metric holdfast_stream_backup for a stream.
func backup(s stream.Snapshot) int {
	switch {
	case s.OnBackup && s.Publisher != nil:
		return 2
	case !s.OnBackup && s.Spare != nil || s.OnBackup && s.Waiting != nil:
		return 1
	}
	return 0
}

func publisher(p *stream.Publisher) *api.Publisher {
	if p == nil {
		return nil
	}
	out := &api.Publisher{
		Session: p.Session, Protocol: p.Protocol, Remote: p.Remote, Agent: p.Agent, Since: p.Since,
		Bitrate: p.Bitrate, Sound: p.AudioBitrate, FrameRate: p.FrameRate,
		BFrames: p.Reorders, RTT: p.RTT.Seconds(), Gap: p.Gap.Seconds(), Quiet: p.Quiet.Seconds(),
	}
	for _, one := range p.Repairs {
		out.Repairs = append(out.Repairs, api.Repair{
			Track: one.Track.String(), Reason: one.Reason.String(), Count: one.Count,
			Problem: one.Reason.Problem(), Hint: one.Reason.Hint(),
		})
	}
	return out
}

// snapshot returns the values of all metrics.
func (r *relay) snapshot() snapshot.Relay {
	c := r.counters
	out := snapshot.Relay{
		IngestBytes: c.IngestBytes(), ViewerSkips: c.Skips(), EgressBytes: map[string]uint64{},
		IngestFrames:  map[string]uint64{},
		TrackSilences: map[string]uint64{},
		FillerFrames: map[string]uint64{
			"picture": c.Filler[packetbuf.Video].Load(), "silence": c.Filler[packetbuf.Audio].Load(),
		},
		LatePackets: c.Late.Load(),
	}
	for _, one := range r.repairs.Counts() {
		out.Repairs = append(out.Repairs, snapshot.Repair{Track: one.Track.String(), Reason: one.Reason.String(), Count: one.Count})
	}
	out.ViewerSkips[mse.Protocol] += r.skipped.Load()
	bridges := r.bridges.Counts()
	out.Bridges = snapshot.Bridges{Running: bridges.Running, Restarts: bridges.Restarts, Failures: bridges.Failures}
	for _, tr := range []packetbuf.Track{packetbuf.Video, packetbuf.Audio} {
		out.IngestFrames[tr.String()] = c.IngestFrames[tr].Load()
		out.TrackSilences[tr.String()] = c.TrackSilences[tr].Load()
	}
	for protocol, n := range r.sent {
		out.EgressBytes[protocol] = n.Load()
	}
	out.WebRTC = snapshot.WebRTC{Asked: r.received.Asked.Load(), Lost: r.received.Lost.Load(), Repeated: r.repeats.Load()}
	if s := r.sockets.Load(); s != nil {
		out.WebRTC.Refused = s.Refused()
	}
	limits := r.settings.get().Limits
	out.Connections, out.MaxStreams = snapshot.Use{Used: r.slots.Used(), Limit: limits.Connections}, limits.Streams
	out.Memory, out.MaxMemory = r.memory.Use(), r.memory.Limit()
	now := time.Now()
	for _, s := range r.hub.List() {
		out.Streams = append(out.Streams, r.gauges(now, s.Snapshot(now)))
	}
	for _, n := range r.routes.Tallies() {
		out.Totals = append(out.Totals, snapshot.RouteTotals(n))
	}
	for _, s := range r.routes.Status(now, false) {
		out.Routes = append(out.Routes, routeGauges(s)...)
	}
	return out
}

func (r *relay) gauges(now time.Time, s stream.Snapshot) snapshot.Stream {
	g := snapshot.Stream{
		Name: s.Name, State: int(s.State), InState: now.Sub(s.Since), Backup: backup(s), Epoch: int(s.Epoch),
		BufferBytes: s.Buffer.Bytes, BufferLimit: s.Limits.Bytes, Buffered: s.Buffer.Newest - s.Buffer.Oldest,
		Viewers: map[string]int{},
	}
	g.SpareReady = s.Spare != nil && s.Spare.Ready
	if !s.HeldUntil.IsZero() {
		g.HoldLeft = max(0, s.HeldUntil.Sub(now))
	}
	for protocol := range r.sent {
		g.Viewers[protocol] = s.Viewers[protocol]
	}
	if p := s.Publisher; p != nil {
		g.Bitrate, g.FrameRate, g.RTT, g.Gap, g.Heartbeat = p.Bitrate, p.FrameRate, p.RTT, p.Gap, p.Heartbeat
		g.Jitter, g.Keyframes = p.Jitter, p.Keyframes
		if p.Protocol == ingest.WHIP {
			g.Heartbeat = rtcsock.Heartbeat
		}
	}
	return g
}
