// Package ogg reads and writes the part of Ogg (RFC 3533) that a stream of Opus needs (RFC 7845): pages
// of one logical stream.
//
// The package is pure: no goroutine, no clock, no I/O.
package ogg

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrMalformed is wrapped by every error about bytes that are not valid Ogg with Opus.
var ErrMalformed = errors.New("malformed Ogg")

func malformed(format string, a ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, a...)...)
}

const (
	capture        = "OggS"
	pageHeaderSize = 27 // bytes before the segment table
	segmentSize    = 255
	maxLaces       = 255

	continued = 1 << 0 // the page begins within a packet
	firstPage = 1 << 1
)

// checksums is the table for the CRC of Ogg: polynomial 04c11db7, most significant bit first, no
// inversion.
var checksums = func() (t [256]uint32) {
	for i := range t {
		c := uint32(i) << 24 //nolint:gosec // a byte
		for range 8 {
			if c&(1<<31) != 0 {
				c = c<<1 ^ 0x04c11db7
			} else {
				c <<= 1
			}
		}
		t[i] = c
	}
	return t
}()

func checksum(c uint32, b []byte) uint32 {
	for _, v := range b {
		c = c<<8 ^ checksums[byte(c>>24)^v]
	}
	return c
}

// page is the header of a page.
type page struct {
	flags    byte
	granule  uint64 // end of the last packet that ends on the page, in samples
	serial   uint32
	sequence uint32
}

// append appends a page with one complete packet of less than 255 segments.
func (p page) append(dst, packet []byte) []byte {
	start := len(dst)
	dst = append(dst, capture...)
	dst = append(dst, 0, p.flags)
	dst = binary.LittleEndian.AppendUint64(dst, p.granule)
	dst = binary.LittleEndian.AppendUint32(dst, p.serial)
	dst = binary.LittleEndian.AppendUint32(dst, p.sequence)
	dst = append(dst, 0, 0, 0, 0, byte(len(packet)/segmentSize+1))
	for range len(packet) / segmentSize {
		dst = append(dst, segmentSize)
	}
	dst = append(dst, byte(len(packet)%segmentSize))
	dst = append(dst, packet...)
	binary.LittleEndian.PutUint32(dst[start+22:], checksum(0, dst[start:]))
	return dst
}
