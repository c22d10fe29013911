package rtmp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// ErrBadAMF is the error of bytes that are not AMF0, or not of the kind that is accepted.
var ErrBadAMF = errors.New("rtmp: bad AMF0")

// DecodeAMF decodes all values in p. It holds at most about 40 bytes for each byte of p:
// bound p.
func DecodeAMF(p []byte) ([]Value, error) {
	r := amfReader{p: p, build: true}
	var values []Value
	for len(r.p) > 0 {
		v, err := r.value(0)
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return values, nil
}

// ValidateAMF tells whether DecodeAMF would decode p, and holds nothing.
func ValidateAMF(p []byte) error {
	r := amfReader{p: p}
	for len(r.p) > 0 {
		if _, err := r.value(0); err != nil {
			return err
		}
	}
	return nil
}

// amfReader reads values from the front of p. Unless it builds, values are checked and
// not kept.
type amfReader struct {
	p     []byte
	build bool
}

func (r *amfReader) take(n int) ([]byte, error) {
	if n > len(r.p) {
		return nil, fmt.Errorf("%w: %d bytes where %d are due", ErrBadAMF, len(r.p), n)
	}
	b := r.p[:n]
	r.p = r.p[n:]
	return b, nil
}

func (r *amfReader) value(depth int) (Value, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("%w: nested more than %d deep", ErrBadAMF, maxDepth)
	}
	mark, err := r.take(1)
	if err != nil {
		return nil, err
	}
	switch mark[0] {
	case markNull:
		return Null{}, nil
	case markUndefined, markUnsupported:
		return Undefined{}, nil
	case markObject:
		ps, err := r.properties(depth)
		return Object(ps), err
	case markECMAArray:
		// The count is a hint that encoders get wrong; the end marker counts.
		if _, err := r.take(4); err != nil {
			return nil, err
		}
		ps, err := r.properties(depth)
		return ECMAArray(ps), err
	case markStrictArray:
		return r.strictArray(depth)
	}
	return r.scalar(mark[0])
}

func (r *amfReader) scalar(mark byte) (Value, error) {
	switch mark {
	case markNumber:
		b, err := r.take(8)
		if err != nil || !r.build {
			return nil, err
		}
		return Number(math.Float64frombits(binary.BigEndian.Uint64(b))), nil
	case markBool:
		b, err := r.take(1)
		if err != nil {
			return nil, err
		}
		return Bool(b[0] != 0), nil
	case markString:
		s, err := r.key()
		if err != nil || !r.build {
			return nil, err
		}
		return String(s), nil
	case markLongString:
		b, err := r.take(4)
		if err != nil {
			return nil, err
		}
		n := binary.BigEndian.Uint32(b)
		if uint64(n) > uint64(len(r.p)) {
			return nil, fmt.Errorf("%w: string of %d bytes in %d", ErrBadAMF, n, len(r.p))
		}
		if b, err = r.take(int(n)); err != nil || !r.build {
			return nil, err
		}
		return String(b), nil
	case markDate:
		b, err := r.take(10)
		if err != nil || !r.build {
			return nil, err
		}
		return Date{
			Millis: math.Float64frombits(binary.BigEndian.Uint64(b)),
			Zone:   int16(binary.BigEndian.Uint16(b[8:])), //nolint:gosec // the bits as they are
		}, nil
	}
	return nil, fmt.Errorf("%w: marker %#02x", ErrBadAMF, mark)
}

func (r *amfReader) key() ([]byte, error) {
	b, err := r.take(2)
	if err != nil {
		return nil, err
	}
	return r.take(int(binary.BigEndian.Uint16(b)))
}

func (r *amfReader) properties(depth int) ([]Property, error) {
	var ps []Property
	for {
		key, err := r.key()
		if err != nil {
			return nil, err
		}
		if len(key) == 0 {
			end, err := r.take(1)
			if err != nil {
				return nil, err
			}
			if end[0] != markObjectEnd {
				return nil, fmt.Errorf("%w: property without a name", ErrBadAMF)
			}
			return ps, nil
		}
		v, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		if r.build {
			ps = append(ps, Property{Key: string(key), Value: v})
		}
	}
}

func (r *amfReader) strictArray(depth int) (Value, error) {
	b, err := r.take(4)
	if err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(b)
	if uint64(n) > uint64(len(r.p)) { // a value takes a byte at least
		return nil, fmt.Errorf("%w: array of %d values in %d bytes", ErrBadAMF, n, len(r.p))
	}
	var a StrictArray
	for range n {
		v, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		if r.build {
			a = append(a, v)
		}
	}
	return a, nil
}
