package gen

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// ID identifies a generated frame.
type ID struct {
	Track  packetbuf.Track
	Source uint32 // Options.Source
	Number uint64 // number of the frame in its track, in decoding order from 0
}

// ErrDamaged is wrapped by the errors of Identify. It reports a payload that was not generated here or is
// not complete.
var ErrDamaged = errors.New("frame damaged")

const (
	idMark   = "hf."
	idFormat = "%02x%08x%016x"
	idSize   = len(idMark) + 2 + 8 + 16
	// sumSize is the size of the checksum at the end of a payload.
	sumSize = 8
)

// appendID appends the ID as text, in which no byte needs emulation prevention.
func appendID(dst []byte, id ID) []byte {
	return fmt.Appendf(append(dst, idMark...), idFormat, uint8(id.Track), id.Source, id.Number)
}

// appendSum appends a checksum of the payload.
func appendSum(payload []byte) []byte {
	return fmt.Appendf(payload, "%08x", crc32.ChecksumIEEE(payload))
}

// Identify returns the ID of a frame. It returns an error that wraps ErrDamaged if any byte of the payload
// has changed.
func Identify(p *packetbuf.Packet) (ID, error) {
	body := p.Payload
	at := bytes.Index(body[:min(len(body), 64)], []byte(idMark))
	if at < 0 || len(body) < at+idSize+sumSize {
		return ID{}, fmt.Errorf("%s packet of %d bytes has no ID: %w", p.Track, len(body), ErrDamaged)
	}
	body, sum := body[:len(body)-sumSize], body[len(body)-sumSize:]
	if fmt.Sprintf("%08x", crc32.ChecksumIEEE(body)) != string(sum) {
		return ID{}, fmt.Errorf("%s packet of %d bytes has a wrong checksum: %w", p.Track, len(p.Payload), ErrDamaged)
	}
	var b [13]byte
	if _, err := hex.Decode(b[:], body[at+len(idMark):at+idSize]); err != nil {
		return ID{}, fmt.Errorf("ID of a %s packet: %w: %w", p.Track, err, ErrDamaged)
	}
	id := ID{Track: packetbuf.Track(b[0])}
	for _, v := range b[1:5] {
		id.Source = id.Source<<8 | uint32(v)
	}
	for _, v := range b[5:] {
		id.Number = id.Number<<8 | uint64(v)
	}
	if id.Track != p.Track {
		return ID{}, fmt.Errorf("%s frame on the %s track: %w", id.Track, p.Track, ErrDamaged)
	}
	return id, nil
}
