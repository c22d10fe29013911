package gen

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// ID is what a made frame says of itself.
type ID struct {
	Track  packetbuf.Track
	Source uint32 // Options.Source
	Number uint64 // counts the frames of a track in decoding order, from 0
}

// ErrHarmed is wrapped by Identify's errors: the payload is none that was made here, or not
// all of it.
var ErrHarmed = errors.New("frame harmed")

const (
	mark   = "hf."
	fields = "%02x%08x%016x"
	idSize = len(mark) + 2 + 8 + 16
	// sumSize is the size of the checksum at a payload's end.
	sumSize = 8
)

// appendID appends the ID in letters: no byte of it needs emulation prevention.
func appendID(dst []byte, id ID) []byte {
	return fmt.Appendf(append(dst, mark...), fields, uint8(id.Track), id.Source, id.Number)
}

// appendSum appends the checksum of everything before it.
func appendSum(payload []byte) []byte {
	return fmt.Appendf(payload, "%08x", crc32.ChecksumIEEE(payload))
}

// Identify reads the ID of a frame and verifies that every byte of it is as it was made.
func Identify(p *packetbuf.Packet) (ID, error) {
	body := p.Payload
	at := bytes.Index(body[:min(len(body), 64)], []byte(mark))
	if at < 0 || len(body) < at+idSize+sumSize {
		return ID{}, fmt.Errorf("%s packet of %d bytes without an ID: %w", p.Track, len(body), ErrHarmed)
	}
	body, sum := body[:len(body)-sumSize], body[len(body)-sumSize:]
	if fmt.Sprintf("%08x", crc32.ChecksumIEEE(body)) != string(sum) {
		return ID{}, fmt.Errorf("%s packet of %d bytes with another checksum: %w", p.Track, len(p.Payload), ErrHarmed)
	}
	var b [13]byte
	if _, err := hex.Decode(b[:], body[at+len(mark):at+idSize]); err != nil {
		return ID{}, fmt.Errorf("ID of a %s packet: %w: %w", p.Track, err, ErrHarmed)
	}
	id := ID{Track: packetbuf.Track(b[0])}
	for _, v := range b[1:5] {
		id.Source = id.Source<<8 | uint32(v)
	}
	for _, v := range b[5:] {
		id.Number = id.Number<<8 | uint64(v)
	}
	if id.Track != p.Track {
		return ID{}, fmt.Errorf("%s frame on the %s track: %w", id.Track, p.Track, ErrHarmed)
	}
	return id, nil
}
