package rtmp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// ErrBadAMF is wrapped by errors about bytes that are not AMF0 or contain a type that is not accepted.
var ErrBadAMF = errors.New("rtmp: bad AMF0")

// DecodeAMF decodes all AMF0 values in p. It allocates up to about 40 bytes for each byte of p, so the
// caller should limit the length of p.
func DecodeAMF(p []byte) ([]Value, error) {
	r := amfReader{p: p, build: true}
	var values []Value
	for len(r.p) > 0 {
		v, err := r.readValue(0)
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return values, nil
}

// ValidateAMF returns the error that DecodeAMF would return, without allocating.
func ValidateAMF(p []byte) error {
	r := amfReader{p: p}
	for len(r.p) > 0 {
		if _, err := r.readValue(0); err != nil {
			return err
		}
	}
	return nil
}

// amfReader reads values from the front of p. If build is not set, it only validates them.
type amfReader struct {
	p     []byte
	build bool
}

func (r *amfReader) next(n int) ([]byte, error) {
	if n > len(r.p) {
		return nil, fmt.Errorf("%w: %d bytes, want %d", ErrBadAMF, len(r.p), n)
	}
	b := r.p[:n]
	r.p = r.p[n:]
	return b, nil
}

func (r *amfReader) readValue(depth int) (Value, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("%w: nested more than %d deep", ErrBadAMF, maxDepth)
	}
	mark, err := r.next(1)
	if err != nil {
		return nil, err
	}
	switch mark[0] {
	case markNull:
		return Null{}, nil
	case markUndefined, markUnsupported:
		return Undefined{}, nil
	case markObject:
		ps, err := r.readProperties(depth)
		return Object(ps), err
	case markECMAArray:
		// The count is a hint that encoders get wrong; only the end marker counts.
		if _, err := r.next(4); err != nil {
			return nil, err
		}
		ps, err := r.readProperties(depth)
		return ECMAArray(ps), err
	case markStrictArray:
		return r.readStrictArray(depth)
	}
	return r.readScalar(mark[0])
}

func (r *amfReader) readScalar(mark byte) (Value, error) {
	switch mark {
	case markNumber:
		b, err := r.next(8)
		if err != nil || !r.build {
			return nil, err
		}
		return Number(math.Float64frombits(binary.BigEndian.Uint64(b))), nil
	case markBool:
		b, err := r.next(1)
		if err != nil {
			return nil, err
		}
		return Bool(b[0] != 0), nil
	case markString:
		s, err := r.readKey()
		if err != nil || !r.build {
			return nil, err
		}
		return String(s), nil
	case markLongString:
		b, err := r.next(4)
		if err != nil {
			return nil, err
		}
		n := binary.BigEndian.Uint32(b)
		if uint64(n) > uint64(len(r.p)) {
			return nil, fmt.Errorf("%w: string of %d bytes, %d left", ErrBadAMF, n, len(r.p))
		}
		if b, err = r.next(int(n)); err != nil || !r.build {
			return nil, err
		}
		return String(b), nil
	case markDate:
		b, err := r.next(10)
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

func (r *amfReader) readKey() ([]byte, error) {
	b, err := r.next(2)
	if err != nil {
		return nil, err
	}
	return r.next(int(binary.BigEndian.Uint16(b)))
}

func (r *amfReader) readProperties(depth int) ([]Property, error) {
	var ps []Property
	for {
		key, err := r.readKey()
		if err != nil {
			return nil, err
		}
		if len(key) == 0 {
			end, err := r.next(1)
			if err != nil {
				return nil, err
			}
			if end[0] != markObjectEnd {
				return nil, fmt.Errorf("%w: property without a name", ErrBadAMF)
			}
			return ps, nil
		}
		v, err := r.readValue(depth + 1)
		if err != nil {
			return nil, err
		}
		if r.build {
			ps = append(ps, Property{Key: string(key), Value: v})
		}
	}
}

func (r *amfReader) readStrictArray(depth int) (Value, error) {
	b, err := r.next(4)
	if err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(b)
	if uint64(n) > uint64(len(r.p)) { // a value takes at least a byte
		return nil, fmt.Errorf("%w: array of %d values, %d bytes left", ErrBadAMF, n, len(r.p))
	}
	var a StrictArray
	for range n {
		v, err := r.readValue(depth + 1)
		if err != nil {
			return nil, err
		}
		if r.build {
			a = append(a, v)
		}
	}
	return a, nil
}
