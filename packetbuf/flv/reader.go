package flv

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

const (
	fileHeader = 9
	flagVideo  = 1
	flagAudio  = 4

	// maxFileHeader bounds the header's length, which the file itself states.
	maxFileHeader = 1 << 10
	// tagFilter marks a tag whose body is encrypted.
	tagFilter = 0x20
)

// DefaultMaxBody is the longest body that a Reader takes unless it is told otherwise.
const DefaultMaxBody = 8 << 20

// RawTag is a tag as it stands in a file.
type RawTag struct {
	Type      byte
	Timestamp uint32 // ms
	StreamID  uint32 // 0 in every file seen in the wild
	Body      []byte // the receiver's own
}

// Packet decodes the tag's body and sets the DTS to its timestamp. Like Decode it returns
// nil for what carries nothing, and for a tag that is neither audio, video nor data.
func (t RawTag) Packet() (*packetbuf.Packet, error) {
	track, ok := TrackOf(t.Type)
	if !ok {
		return nil, nil
	}
	p, err := Decode(track, t.Body)
	if p != nil {
		p.DTS = time.Duration(t.Timestamp) * time.Millisecond
	}
	return p, err
}

// Reader reads a file or stream tag by tag. It holds one tag at most and reads no further
// than it has to; hand it a buffered reader.
type Reader struct {
	r       io.Reader
	maxBody int
	started bool
	video   bool
	audio   bool
}

// NewReader reads from r and refuses bodies longer than maxBody bytes; 0 is DefaultMaxBody.
func NewReader(r io.Reader, maxBody int) *Reader {
	if maxBody <= 0 {
		maxBody = DefaultMaxBody
	}
	return &Reader{r: r, maxBody: maxBody}
}

// Header tells which tracks the header announces; many writers announce both, always.
func (r *Reader) Header() (hasVideo, hasAudio bool, err error) {
	if err := r.start(); err != nil {
		return false, false, err
	}
	return r.video, r.audio, nil
}

// Next reads the next tag. It returns io.EOF only between tags, io.ErrUnexpectedEOF within
// one, an error that wraps ErrMalformed for bytes that are no FLV, and the reader's own
// errors wrapped.
func (r *Reader) Next() (RawTag, error) {
	if err := r.start(); err != nil {
		return RawTag{}, err
	}
	var h [tagHeader]byte
	if _, err := io.ReadFull(r.r, h[:]); err != nil {
		if errors.Is(err, io.EOF) {
			return RawTag{}, io.EOF
		}
		return RawTag{}, fmt.Errorf("read FLV tag: %w", err)
	}
	if h[0]&tagFilter != 0 {
		return RawTag{}, malformed("read FLV tag: encrypted")
	}
	size := int(h[1])<<16 | int(h[2])<<8 | int(h[3])
	if size > r.maxBody {
		return RawTag{}, malformed("read FLV tag: body of %d bytes, %d allowed", size, r.maxBody)
	}
	t := RawTag{
		Type:      h[0] & 0x1f,
		Timestamp: uint32(h[7])<<24 | uint32(h[4])<<16 | uint32(h[5])<<8 | uint32(h[6]),
		StreamID:  uint32(h[8])<<16 | uint32(h[9])<<8 | uint32(h[10]),
		Body:      make([]byte, size),
	}
	if err := r.full(t.Body); err != nil {
		return RawTag{}, fmt.Errorf("read FLV tag: %w", err)
	}
	// The size that follows is for reading backwards. Writers get it wrong, so it is not
	// checked; and the last one of a file that was cut off may be missing.
	var previous [prevTagSize]byte
	if _, err := io.ReadFull(r.r, previous[:]); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return RawTag{}, fmt.Errorf("read FLV tag: %w", err)
	}
	return t, nil
}

func (r *Reader) start() error {
	if r.started {
		return nil
	}
	var h [fileHeader]byte
	if err := r.full(h[:]); err != nil {
		return fmt.Errorf("read FLV header: %w", err)
	}
	length := binary.BigEndian.Uint32(h[5:])
	if string(h[:3]) != "FLV" || length < fileHeader || length > maxFileHeader {
		return malformed("read FLV header")
	}
	more := make([]byte, length-fileHeader+prevTagSize)
	if err := r.full(more); err != nil {
		return fmt.Errorf("read FLV header: %w", err)
	}
	r.video, r.audio, r.started = h[4]&flagVideo != 0, h[4]&flagAudio != 0, true
	return nil
}

// full is io.ReadFull for where the end must not be.
func (r *Reader) full(b []byte) error {
	_, err := io.ReadFull(r.r, b)
	if errors.Is(err, io.EOF) && len(b) > 0 {
		return io.ErrUnexpectedEOF
	}
	return err
}
