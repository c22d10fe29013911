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
	fileHeaderSize = 9
	flagVideo      = 1
	flagAudio      = 4

	// maxFileHeader bounds the header size that a file may declare, in bytes.
	maxFileHeader = 1 << 10
	// tagFilter marks a tag whose body is encrypted.
	tagFilter = 0x20
)

// DefaultMaxBody is the longest body that a Reader accepts by default, in bytes.
const DefaultMaxBody = 8 << 20

// RawTag is an undecoded tag of a file.
type RawTag struct {
	Type      byte
	Timestamp uint32 // ms
	StreamID  uint32 // 0 in practice
	Body      []byte // owned by the caller
}

// Packet decodes the tag's body and sets the DTS to the tag's timestamp. Like Decode, it returns nil if
// the body contains nothing to pass on. It also returns nil for a tag other than audio, video and data.
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

// Reader reads an FLV file or stream tag by tag. It holds at most one tag and makes small reads up to the
// end of a tag, so its source should be buffered.
type Reader struct {
	r        io.Reader
	maxBody  int
	started  bool
	hasVideo bool
	hasAudio bool
}

// NewReader returns a Reader that rejects bodies longer than maxBody bytes; 0 means DefaultMaxBody.
func NewReader(r io.Reader, maxBody int) *Reader {
	if maxBody <= 0 {
		maxBody = DefaultMaxBody
	}
	return &Reader{r: r, maxBody: maxBody}
}

// Header returns which tracks the file header announces. Many writers always announce both.
func (r *Reader) Header() (hasVideo, hasAudio bool, err error) {
	if err := r.readHeader(); err != nil {
		return false, false, err
	}
	return r.hasVideo, r.hasAudio, nil
}

// Next returns the next tag. Its error is io.EOF if the file ends between tags. It wraps
// io.ErrUnexpectedEOF if the file ends within a tag, ErrMalformed if the bytes are not FLV, and otherwise
// the error of the underlying reader.
func (r *Reader) Next() (RawTag, error) {
	if err := r.readHeader(); err != nil {
		return RawTag{}, err
	}
	var h [tagHeaderSize]byte
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
	if err := r.readFull(t.Body); err != nil {
		return RawTag{}, fmt.Errorf("read FLV tag: %w", err)
	}
	// PreviousTagSize is for reading backwards. Writers get it wrong, so it is not checked, and the
	// last one of a truncated file may be missing.
	var previous [prevTagSize]byte
	if _, err := io.ReadFull(r.r, previous[:]); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return RawTag{}, fmt.Errorf("read FLV tag: %w", err)
	}
	return t, nil
}

func (r *Reader) readHeader() error {
	if r.started {
		return nil
	}
	var h [fileHeaderSize]byte
	if err := r.readFull(h[:]); err != nil {
		return fmt.Errorf("read FLV header: %w", err)
	}
	length := binary.BigEndian.Uint32(h[5:])
	if string(h[:3]) != "FLV" || length < fileHeaderSize || length > maxFileHeader {
		return malformed("read FLV header")
	}
	more := make([]byte, length-fileHeaderSize+prevTagSize)
	if err := r.readFull(more); err != nil {
		return fmt.Errorf("read FLV header: %w", err)
	}
	r.hasVideo, r.hasAudio, r.started = h[4]&flagVideo != 0, h[4]&flagAudio != 0, true
	return nil
}

// readFull is like io.ReadFull, but returns io.ErrUnexpectedEOF also if it read nothing.
func (r *Reader) readFull(b []byte) error {
	_, err := io.ReadFull(r.r, b)
	if errors.Is(err, io.EOF) && len(b) > 0 {
		return io.ErrUnexpectedEOF
	}
	return err
}
