package rtmp

// Limits bound what a Demuxer accepts. A message that exceeds one is rejected at its
// header, before any byte of it is kept.
type Limits struct {
	ChunkStreams   int // distinct chunk streams of a connection
	MessageStreams int // distinct message streams, including stream 0 for the connection
	Media          int // bytes of an audio, video or aggregate message
	Data           int // bytes of a data or shared object message, or of an unknown type
	Command        int // bytes of a command message
	Buffered       int // bytes held for all incomplete messages
}

// DefaultLimits returns limits for a publisher that has been admitted.
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
