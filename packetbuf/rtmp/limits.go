package rtmp

// Limits are the limits on what a Demuxer accepts. If a message exceeds a limit, the Demuxer returns an
// error when it has read the message's header, before it stores any of the payload.
type Limits struct {
	ChunkStreams   int // number of distinct chunk streams of a connection
	MessageStreams int // number of distinct message streams, including stream 0 for the connection
	Media          int // size of an audio, video or aggregate message, in bytes
	Data           int // size of a data or shared object message, or one of unknown type, in bytes
	Command        int // size of a command message, in bytes
	Buffered       int // memory for all incomplete messages together, in bytes
}

// DefaultLimits returns the limits for a publisher that has been admitted.
func DefaultLimits() Limits {
	return Limits{
		ChunkStreams:   32,
		MessageStreams: 8,
		Media:          8 << 20,
		Data:           256 << 10,
		Command:        64 << 10,
		Buffered:       16 << 20,
	}
}

// maxControl exceeds the size of any protocol control message: the longest user control
// event has ten bytes.
const maxControl = 64

func (l *Limits) maxMessage(typ uint8) int {
	switch typ {
	case TypeSetChunkSize, TypeAbort, TypeAck, TypeUserControl, TypeWindowAckSize, TypeSetPeerBandwidth:
		return maxControl
	case TypeAudio, TypeVideo, TypeAggregate:
		return l.Media
	case TypeCommandAMF0, TypeCommandAMF3:
		return l.Command
	}
	return l.Data
}
