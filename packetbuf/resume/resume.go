// Package resume seals what a viewer needs to come back to its place into a token that only
// the relay, or another with the same key, can make and read.
//
// The package is pure: no clock, no randomness, no I/O.
package resume

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
)

const (
	// KeySize is the length of a key.
	KeySize = 32
	// NonceSize is the length of what must never be given twice within a Period: random bytes.
	NonceSize = 12
	// Period is how long one derived key seals. It opens for one more, so that the Lifetime of a
	// token, which is no longer, does not depend on when it was sealed.
	Period = 24 * time.Hour
	// Lifetime is how long a viewer may resume without showing its play token again, counted from its
	// first token. It is also the most for which one token is good.
	Lifetime = Period
	// MaxToken bounds the text of a token.
	MaxToken = 512

	maxStream = 256
	// version is that of the tokens that Seal makes; older tokens have no First and no Until.
	version = 2
	older   = 1
)

// Claims are what a token says. None of it is a secret of the viewer's play token.
type Claims struct {
	Stream string // {app}/{name}
	Viewer uint64 // the same over all resumes of one viewer
	// Life and Since are the stream's own: which of the streams of that name it was, and from
	// where on the viewer was there.
	Life, Since uint64
	// First is when the viewer was admitted by more than a resume token; Seal takes the zero Time for
	// now. Until is when its play token expires; the zero Time is never. Both are whole seconds, and
	// handed on from token to token.
	First, Until time.Time
	// Instance, Issued and Expires are set by Seal; the times are whole seconds. A token expires
	// Lifetime after First and at Until.
	Instance        uint64
	Issued, Expires time.Time
}

// Verdict is what a token proves.
type Verdict uint8

const (
	// Invalid proves nothing: no token, of another key or for another stream.
	Invalid Verdict = iota
	// Expired was good once.
	Expired
	// Elsewhere proves admission. Its place is one of another relay instance: of one before a
	// restart, or of another node.
	Elsewhere
	// Good proves admission, and its place is this instance's.
	Good
)

// Admits reports whether the token stands for a play token.
func (v Verdict) Admits() bool { return v == Elsewhere || v == Good }

// Sealer makes and reads tokens. It may be used from any goroutine.
type Sealer struct {
	key      [KeySize]byte
	instance uint64
}

// New returns a sealer for one relay instance, which is a random number.
func New(key []byte, instance uint64) (*Sealer, error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("resume: the key has %d bytes, not %d", len(key), KeySize)
	}
	s := &Sealer{instance: instance}
	copy(s.key[:], key)
	return s, nil
}

// A token is, in URL-safe base64 without padding:
//
//	version, 1 byte · period, 4 · nonce, 12 · sealed: eight numbers of 8 bytes, stream · tag, 16
//
// Numbers are big-endian. Version and period are authenticated with the rest. Version 1 has six
// numbers: it lacks First and Until.
const (
	head        = 1 + 4
	fields      = 8 * 8
	olderFields = 6 * 8
)

var encoding = base64.RawURLEncoding.Strict() // one text for one token

// errStream: no stream has such a name.
var errStream = errors.New("resume: the stream's name is empty or too long")

// Seal makes a token that is good from now on. under is what admitted the viewer, such as the
// secret of the stream's play tokens: with another a token does not open. It cannot be found
// out from the token.
func (s *Sealer) Seal(now time.Time, c Claims, under string, nonce [NonceSize]byte) (string, error) {
	if c.Stream == "" || len(c.Stream) > maxStream {
		return "", errStream
	}
	period := periodOf(now)
	aead, err := s.derive(period, under)
	if err != nil {
		return "", err
	}
	first := c.First
	if first.IsZero() || first.After(now) {
		first = now
	}
	expires := first.Add(Lifetime)
	if !c.Until.IsZero() && c.Until.Before(expires) {
		expires = c.Until
	}
	plain := make([]byte, 0, fields+maxStream)
	for _, n := range [...]uint64{s.instance, c.Viewer, c.Life, c.Since, seconds(now), seconds(expires), seconds(first), deadline(c.Until)} {
		plain = binary.BigEndian.AppendUint64(plain, n)
	}
	plain = append(plain, c.Stream...)
	token := make([]byte, 0, head+NonceSize+len(plain)+aead.Overhead())
	token = append(token, version)
	token = binary.BigEndian.AppendUint32(token, period)
	token = append(token, nonce[:]...)
	token = aead.Seal(token, nonce[:], plain, token[:head])
	return encoding.EncodeToString(token), nil
}

// Open reads a token for a stream, with the under that it was sealed with. The claims are
// empty where the verdict is Invalid. A token of version 1 does not say when the play token expires
// that its viewer was admitted by: where there is such a secret it counts as expired.
func (s *Sealer) Open(now time.Time, token, stream, under string) (Claims, Verdict) {
	if len(token) > MaxToken || strings.ContainsAny(token, "\r\n") { // which base64 passes over
		return Claims{}, Invalid
	}
	raw, err := encoding.DecodeString(token)
	if err != nil || len(raw) < head+NonceSize+olderFields || raw[0] != version && raw[0] != older {
		return Claims{}, Invalid
	}
	period := binary.BigEndian.Uint32(raw[1:])
	if int64(period) > int64(periodOf(now))+1 { // another node's clock may be ahead, not by a day
		return Claims{}, Invalid
	}
	aead, err := s.derive(period, under)
	if err != nil {
		return Claims{}, Invalid
	}
	plain, err := aead.Open(nil, raw[head:head+NonceSize], raw[head+NonceSize:], raw[:head])
	if err != nil {
		return Claims{}, Invalid
	}
	c, ok := decode(raw[0], plain)
	switch {
	case !ok || c.Stream != stream:
		return Claims{}, Invalid
	case !now.Before(c.Expires), raw[0] == older && under != "":
		return c, Expired
	case c.Instance != s.instance:
		return c, Elsewhere
	}
	return c, Good
}

// decode reads the claims of a token of a version.
func decode(v byte, plain []byte) (c Claims, ok bool) {
	size := fields
	if v == older {
		size = olderFields
	}
	if len(plain) < size {
		return Claims{}, false
	}
	number := func(i int) uint64 { return binary.BigEndian.Uint64(plain[8*i:]) }
	c = Claims{
		Stream: string(plain[size:]), Instance: number(0), Viewer: number(1), Life: number(2), Since: number(3),
		Issued: moment(number(4)), Expires: moment(number(5)),
	}
	if c.First = c.Issued; v == older {
		return c, true
	}
	c.First = moment(number(6))
	if until := number(7); until != 0 {
		c.Until = moment(until)
	}
	return c, true
}

// derive gives the key of one period.
func (s *Sealer) derive(period uint32, under string) (cipher.AEAD, error) {
	mac := hmac.New(sha256.New, s.key[:])
	mac.Write([]byte("holdfast resume token\x00"))
	mac.Write(binary.BigEndian.AppendUint32(nil, period))
	mac.Write([]byte(under))
	block, err := aes.NewCipher(mac.Sum(nil))
	if err != nil {
		return nil, fmt.Errorf("resume: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("resume: %w", err)
	}
	return aead, nil
}

// periodOf is the period that now lies in; 0 before 1970.
func periodOf(now time.Time) uint32 {
	return uint32(max(0, min(now.Unix()/int64(Period/time.Second), 1<<32-1))) //nolint:gosec // bounded here
}

func seconds(t time.Time) uint64 { return uint64(max(0, t.Unix())) } //nolint:gosec // not below 0

func moment(n uint64) time.Time { return time.Unix(int64(n), 0) } //nolint:gosec // what Seal has written

// deadline is seconds for a time that may be the zero Time, which is 0.
func deadline(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return max(1, seconds(t))
}
