// Package qos holds what is measured of the relay's quality, as values without a home in any
// metrics system.
package qos

import "time"

// Relay is the relay at one moment.
type Relay struct {
	Streams []Stream
	// By protocol.
	IngestBytes, EgressBytes, ViewerSkips map[string]uint64
	// By track.
	IngestFrames, TrackSilences map[string]uint64
	// By kind: picture, silence.
	FillerFrames map[string]uint64
	// Repairs are of publishers' media; those that have not happened are among them, at 0.
	Repairs     []Repair
	LatePackets uint64
	Bridges     Bridges
	WebRTC      WebRTC
	Routes      []Route
	Ways        []Way
	Connections Use
	// Memory is the bytes of media held, by what for, and MaxMemory how many there may be.
	Memory    map[string]int64
	MaxMemory int64
	// MaxStreams is how many streams there may be.
	MaxStreams int
}

// Repair is how often media of a track was repaired, or left out, for a reason.
type Repair struct {
	Track, Reason string
	Count         uint64
}

// Use is how much of something that is bounded is in use; Limit 0: it is not bounded.
type Use struct{ Used, Limit int }

// Way is a configured route of a group, all streams together.
type Way struct {
	Group, Route     string
	Segments, Resent uint64 // of TCP; 0 where the system does not tell
}

// WebRTC counts RTP packets.
type WebRTC struct {
	Asked    uint64 // of publishers, asked for again
	Lost     uint64 // of publishers, that never came
	Repeated uint64 // sent to viewers again
	Refused  uint64 // that the system did not take
}

// Bridges are what puts sound into another codec: how many run, and what became of them so far.
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
	Level                int           // down the ladder, 0 the top; of a route that carries
	Lag, RTT             time.Duration // 0 while unknown
	Rate                 float64       // bit/s that arrive at the far side; of a route that carries
}

// Stream is one stream at one moment.
type Stream struct {
	Name        string
	State       int           // 0 idle, 1 live, 2 suspect, 3 held
	InState     time.Duration // since it entered the state
	Backup      int           // 0 none, 1 held warm, 2 feeds
	SpareReady  bool          // whom is held warm could take over at once
	Epoch       int           // times that media was spliced onto it
	HoldLeft    time.Duration // until it ends if nobody comes back; 0 unless held
	Bitrate     float64       // bit/s, of the publisher's media
	FrameRate   float64       // pictures per second
	RTT         time.Duration // to the publisher; 0 while unknown
	Gap         time.Duration // the longest between two arrivals in the recent past
	Jitter      time.Duration // of arrivals against timestamps
	Keyframes   time.Duration // between the newest two; 0 while unknown
	Heartbeat   time.Duration // between two pings to the publisher
	BufferBytes int
	BufferLimit int            // bytes
	Buffered    time.Duration  // media time in the buffer
	Viewers     map[string]int // by protocol
}
