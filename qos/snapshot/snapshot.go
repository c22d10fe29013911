// Package snapshot defines the measurements of the relay at one moment, independent of any metrics system.
package snapshot

import "time"

// Relay holds the measurements of the whole relay at one moment. Counts are totals since its start.
type Relay struct {
	Streams []Stream
	// IngestBytes, EgressBytes and ViewerSkips are counts by protocol.
	IngestBytes, EgressBytes, ViewerSkips map[string]uint64
	// IngestFrames and TrackSilences are counts by track.
	IngestFrames, TrackSilences map[string]uint64
	// FillerFrames are counts by kind: picture, silence.
	FillerFrames map[string]uint64
	// Repairs are the repairs of publishers' media. Kinds that have not occurred are included, with 0.
	Repairs     []Repair
	LatePackets uint64
	Bridges     Bridges
	WebRTC      WebRTC
	Routes      []Route
	Totals      []RouteTotals
	Connections Use
	// Memory is the memory used for media in bytes, by purpose, and MaxMemory the limit of their sum.
	Memory    map[string]int64
	MaxMemory int64
	// MaxStreams is the maximum number of streams.
	MaxStreams int
}

// Repair is the number of times that media of a track was repaired or dropped for one reason.
type Repair struct {
	Track, Reason string
	Count         uint64
}

// Use is a number in use and its limit. Limit 0 means no limit.
type Use struct{ Used, Limit int }

// RouteTotals holds the totals of a configured route over all streams.
type RouteTotals struct {
	Group, Route     string
	Segments, Resent uint64 // TCP segments sent and retransmitted; 0 if the system does not count them
}

// WebRTC counts RTP packets.
type WebRTC struct {
	Asked    uint64 // packets whose retransmission was requested from publishers
	Lost     uint64 // packets of publishers that never arrived
	Repeated uint64 // packets retransmitted to viewers
	Refused  uint64 // packets that the operating system did not accept for sending
}

// Bridges counts the audio bridges, which are processes that convert a stream's audio to another codec: the
// running ones, and the restarts and failures so far.
type Bridges struct {
	Running            int
	Restarts, Failures uint64
}

// Route holds the measurements of one route of a group, for one stream, at one moment.
type Route struct {
	Stream, Group, Route string
	State                int           // 0 idle, 1 dialing, 2 up, 3 backing off, 4 standby, 5 broken
	Backoff              time.Duration // until the next dial
	Score                float64       // 0 (worst) to 1 (best)
	Level                int           // rung of an active route on the ladder; 0 is the top
	Lag, RTT             time.Duration // 0 while unknown
	Rate                 float64       // bit/s that an active route delivers to the destination
}

// Stream holds the measurements of one stream at one moment.
type Stream struct {
	Name        string
	State       int           // 0 idle, 1 live, 2 suspect, 3 held
	InState     time.Duration // time since the stream entered the state
	Backup      int           // 0 none, 1 on standby, 2 active
	SpareReady  bool          // the standby publisher could take over at once
	Epoch       int           // number of publisher sessions so far
	HoldLeft    time.Duration // time until the stream ends unless a publisher returns; 0 unless held
	Bitrate     float64       // bit/s of the publisher's media
	FrameRate   float64       // frames per second
	RTT         time.Duration // to the publisher; 0 while unknown
	Gap         time.Duration // longest recent gap between two packets from the publisher
	Jitter      time.Duration // mean difference of packet spacing on arrival and in timestamps
	Keyframes   time.Duration // interval of the two newest keyframes; 0 while unknown
	Heartbeat   time.Duration // interval of pings to the publisher
	BufferBytes int
	BufferLimit int            // bytes
	Buffered    time.Duration  // media time in the buffer
	Viewers     map[string]int // by protocol
}
