// Package resume encrypts what the relay needs to resume a viewer's session into a token. Only a relay
// with the same key can create or read the token.
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
	// KeySize is the size of a key in bytes.
	KeySize = 32
	// NonceSize is the size of a nonce in bytes. A nonce is random and must not be used twice within
	// a Period.
	NonceSize = 12
	// Period is how long a derived key seals new tokens. The key opens them for another Period. A token
	// can therefore be valid for its full Lifetime, which is no longer than a Period, whenever it was
	// sealed.
	Period = 24 * time.Hour
	// Lifetime is how long a viewer may resume without presenting its play token again, counted from
	// the issue of its first resume token. No resume token is valid for longer.
	Lifetime = Period
	// MaxToken bounds the text of a token in bytes.
	MaxToken = 512

	maxStream = 256
	// version is the version of the tokens that Seal returns; older tokens have no First and no Until.
	version   = 2
	versionV1 = 1
)

// Claims is the content of a token. It does not include the viewer's play token.
type Claims struct {
	Stream string // {app}/{name}
	Viewer uint64 // constant over all resumes of one viewer
	// Life identifies the run of the stream that the viewer watched, since streams of the same name may
	// follow each other. Since is the sequence number at which the viewer joined. The stream sets both.
	Life, Since uint64
	// First is the time at which the viewer was last admitted by other means than a resume token;
	// Seal replaces the zero Time by the current time. Until is the time at which its play token
	// expires; the zero Time means never. Both are in whole seconds and copied from token to token.
	First, Until time.Time
	// Instance, Issued and Expires are set by Open; Seal computes them itself. The times are in whole
	// seconds. A token expires Lifetime after First or at Until, whichever is earlier.
	Instance        uint64
	Issued, Expires time.Time
}

// Verdict is the result of checking a token.
type Verdict uint8

const (
	// Invalid means that the token is missing, malformed, sealed with another key or secret, or for
	// another stream.
	Invalid Verdict = iota
	// Expired means that the token is genuine but no longer valid.
	Expired
	// Elsewhere means that the token admits its viewer, but its position belongs to another relay
	// instance: this relay before a restart, or another node.
	Elsewhere
	// Good means that the token admits its viewer and its position belongs to this instance.
	Good
)

// Admits reports whether the token replaces a play token.
func (v Verdict) Admits() bool { return v == Elsewhere || v == Good }

// Sealer creates and reads tokens. It is safe for concurrent use.
type Sealer struct {
	key      [KeySize]byte
	instance uint64
}

// New returns a Sealer for one relay instance, identified by a random number. It returns an error
// unless the key has KeySize bytes.
func New(key []byte, instance uint64) (*Sealer, error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("create resume sealer: key of %d bytes, want %d", len(key), KeySize)
	}
	s := &Sealer{instance: instance}
	copy(s.key[:], key)
	return s, nil
}

// A token is, in URL-safe base64 without padding:
//
//	version, 1 byte · period, 4 · nonce, 12 · sealed: eight numbers of 8 bytes, stream · tag, 16
//
// Numbers are big-endian. Version and period are authenticated too. Version 1 has six numbers: it
// lacks First and Until.
const (
	headSize     = 1 + 4
	fieldsSize   = 8 * 8
	fieldsSizeV1 = 6 * 8
)

var encoding = base64.RawURLEncoding.Strict() // one text for one token

// errStreamName is returned by Seal for a name that no stream can have.
var errStreamName = errors.New("seal resume token: stream name empty or too long")

// Seal returns a token that is valid from the current time now on. under is the secret that admitted
// the viewer, such as the secret of the stream's play tokens. The token opens only with the same secret,
// and the secret cannot be derived from it. A nonce must not be used twice within a Period.
func (s *Sealer) Seal(now time.Time, c Claims, under string, nonce [NonceSize]byte) (string, error) {
	if c.Stream == "" || len(c.Stream) > maxStream {
		return "", errStreamName
	}
	period := periodOf(now)
	aead, err := s.periodCipher(period, under)
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
	plain := make([]byte, 0, fieldsSize+maxStream)
	for _, n := range [...]uint64{s.instance, c.Viewer, c.Life, c.Since, unixSeconds(now), unixSeconds(expires), unixSeconds(first), unixOrZero(c.Until)} {
		plain = binary.BigEndian.AppendUint64(plain, n)
	}
	plain = append(plain, c.Stream...)
	token := make([]byte, 0, headSize+NonceSize+len(plain)+aead.Overhead())
	token = append(token, version)
	token = binary.BigEndian.AppendUint32(token, period)
	token = append(token, nonce[:]...)
	token = aead.Seal(token, nonce[:], plain, token[:headSize])
	return encoding.EncodeToString(token), nil
}

// Open reads a token for a stream at the current time now. under is the secret that was passed to Seal.
// The claims are empty if the verdict is Invalid. A token of version 1 does not say when its viewer's
// play token expires, so it counts as expired unless under is empty.
func (s *Sealer) Open(now time.Time, token, stream, under string) (Claims, Verdict) {
	if len(token) > MaxToken || strings.ContainsAny(token, "\r\n") { // base64 ignores line ends
		return Claims{}, Invalid
	}
	raw, err := encoding.DecodeString(token)
	if err != nil || len(raw) < headSize+NonceSize+fieldsSizeV1 || raw[0] != version && raw[0] != versionV1 {
		return Claims{}, Invalid
	}
	period := binary.BigEndian.Uint32(raw[1:])
	if int64(period) > int64(periodOf(now))+1 { // another node's clock may be ahead, but not by a day
		return Claims{}, Invalid
	}
	aead, err := s.periodCipher(period, under)
	if err != nil {
		return Claims{}, Invalid
	}
	plain, err := aead.Open(nil, raw[headSize:headSize+NonceSize], raw[headSize+NonceSize:], raw[:headSize])
	if err != nil {
		return Claims{}, Invalid
	}
	c, ok := decode(raw[0], plain)
	switch {
	case !ok || c.Stream != stream:
		return Claims{}, Invalid
	case !now.Before(c.Expires), raw[0] == versionV1 && under != "":
		return c, Expired
	case c.Instance != s.instance:
		return c, Elsewhere
	}
	return c, Good
}

// decode parses the claims from the decrypted part of a token of version v. ok is false if it is too
// short.
func decode(v byte, plain []byte) (c Claims, ok bool) {
	size := fieldsSize
	if v == versionV1 {
		size = fieldsSizeV1
	}
	if len(plain) < size {
		return Claims{}, false
	}
	number := func(i int) uint64 { return binary.BigEndian.Uint64(plain[8*i:]) }
	c = Claims{
		Stream: string(plain[size:]), Instance: number(0), Viewer: number(1), Life: number(2), Since: number(3),
		Issued: fromUnix(number(4)), Expires: fromUnix(number(5)),
	}
	if c.First = c.Issued; v == versionV1 {
		return c, true
	}
	c.First = fromUnix(number(6))
	if until := number(7); until != 0 {
		c.Until = fromUnix(until)
	}
	return c, true
}

// periodCipher returns the cipher with the key derived for one period and the secret under.
func (s *Sealer) periodCipher(period uint32, under string) (cipher.AEAD, error) {
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

// periodOf returns the number of the period that contains now; 0 before 1970.
func periodOf(now time.Time) uint32 {
	return uint32(max(0, min(now.Unix()/int64(Period/time.Second), 1<<32-1))) //nolint:gosec // bounded here
}

func unixSeconds(t time.Time) uint64 { return uint64(max(0, t.Unix())) } //nolint:gosec // not below 0

func fromUnix(n uint64) time.Time { return time.Unix(int64(n), 0) } //nolint:gosec // written by Seal

// unixOrZero is like unixSeconds, but returns 0 for the zero Time, and at least 1 for any other.
func unixOrZero(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return max(1, unixSeconds(t))
}
