// Package snapshot has what is measured of the relay at one moment, as values that no metrics system knows.
package snapshot

import "time"

// Relay is the relay at one moment.
type Relay struct {
	Streams []Stream
	// By protocol.
	IngestBytes, EgressBytes, ViewerSkips map[string]uint64
	// By track.
	IngestFrames, TrackSilences map[string]uint64
	// FillerFrames are by kind: picture, silence.
	FillerFrames map[string]uint64
	// Repairs are of publishers' media. Kinds that have not occurred are included, with 0.
	Repairs     []Repair
	LatePackets uint64
	Bridges     Bridges
	WebRTC      WebRTC
	Routes      []Route
	Totals      []RouteTotals
	Connections Use
	// Memory is the bytes of media held, by purpose, and MaxMemory the limit.
	Memory    map[string]int64
	MaxMemory int64
	// MaxStreams is the limit of streams.
	MaxStreams int
}

// Repair is how often media of a track was repaired, or left out, for a reason.
type Repair struct {
	Track, Reason string
	Count         uint64
}

// Use is how much of a limit is used. Limit 0 is no limit.
type Use struct{ Used, Limit int }

// RouteTotals are the totals of a configured route, over all streams.
type RouteTotals struct {
	Group, Route     string
	Segments, Resent uint64 // of TCP; 0 where the system does not count them
}

// WebRTC counts RTP packets.
type WebRTC struct {
	Asked    uint64 // requested again from publishers
	Lost     uint64 // from publishers, never received
	Repeated uint64 // retransmitted to viewers
	Refused  uint64 // rejected by the operating system
}

// Bridges counts the audio bridges: those that run, and the restarts and failures so far.
type Bridges struct {
	Running            int
	Restarts, Failures uint64
}

// Route is one route of a group, for one stream, at one moment.
type Route struct {
	Stream, Group, Route string
	State                int           // 0 idle, 1 dialing, 2 up, 3 backing off, 4 standby, 5 broken
	Backoff              time.Duration // to the next dial
	Score                float64       // 0 to 1, the best
	Level                int           // of the ladder, 0 at the top; of an active route
	Lag, RTT             time.Duration // 0 while unknown
	Rate                 float64       // bit/s delivered to the destination; of an active route
}

// Stream is one stream at one moment.
type Stream struct {
	Name        string
	State       int           // 0 idle, 1 live, 2 suspect, 3 held
	InState     time.Duration // since it entered the state
	Backup      int           // 0 none, 1 on standby, 2 active
	SpareReady  bool          // the standby could take over at once
	Epoch       int           // publisher sessions spliced onto it so far
	HoldLeft    time.Duration // until it ends without a publisher; 0 unless held
	Bitrate     float64       // bit/s, of the publisher's media
	FrameRate   float64       // frames per second
	RTT         time.Duration // to the publisher; 0 while unknown
	Gap         time.Duration // the longest between two arrivals in the recent past
	Jitter      time.Duration // of arrivals against timestamps
	Keyframes   time.Duration // interval of the newest two; 0 while unknown
	Heartbeat   time.Duration // interval of pings to the publisher
	BufferBytes int
	BufferLimit int            // bytes
	Buffered    time.Duration  // media time in the buffer
	Viewers     map[string]int // by protocol
}
