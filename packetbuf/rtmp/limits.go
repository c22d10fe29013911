package rtmp

// Limits bound what a Demuxer accepts. A message that breaks one is refused at its
// header, before any byte of it is kept.
type Limits struct {
	ChunkStreams   int // distinct chunk streams of a connection
	MessageStreams int // distinct message streams, the connection's own (0) included
	Media          int // bytes of an audio, video or aggregate message
	Data           int // bytes of a data or shared object message, or of an unknown type
	Command        int // bytes of a command message
	Buffered       int // bytes held for all messages that have not come whole
}

// DefaultLimits suit a publisher that has been admitted.
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

// maxControl is more than any protocol control message has: the longest user control
// event is ten bytes.
const maxControl = 64

func (l *Limits) message(typ uint8) int {
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
