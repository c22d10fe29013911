package resume

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"time"
)

// Name identifies a session in URLs, such as those of HLS playlists. It is not a secret beyond the
// URL. It is authenticated, so that only names that a relay with the same key has issued are
// accepted.
type Name struct {
	Stream string // {app}/{name}; not part of the text
	ID     uint64 // random number
	Life   uint64 // as in Claims
	// Until is when the play token expires that admitted the session, in whole seconds; the zero
	// Time means never.
	Until time.Time
	// Instance is set by SealName.
	Instance uint64
}

// A name is, in URL-safe base64 without padding: version, 1 byte · ID, life, until and instance, 8
// bytes each · tag, 16 bytes. Numbers are big-endian.
const (
	nameVersion    = 1
	nameFieldsSize = 4 * 8
	nameTagSize    = 16
)

// SealName returns the text of a name, sealed under a secret as in Seal.
func (s *Sealer) SealName(n Name, under string) string {
	raw := make([]byte, 0, 1+nameFieldsSize+nameTagSize)
	raw = append(raw, nameVersion)
	for _, v := range [...]uint64{n.ID, n.Life, unixOrZero(n.Until), s.instance} {
		raw = binary.BigEndian.AppendUint64(raw, v)
	}
	return encoding.EncodeToString(append(raw, s.authenticateName(raw, n.Stream, under)...))
}

// OpenName reads the text of a stream's name, with the secret that it was sealed under. The verdict
// is as for Open.
func (s *Sealer) OpenName(now time.Time, text, stream, under string) (Name, Verdict) {
	if len(text) != encoding.EncodedLen(1+nameFieldsSize+nameTagSize) {
		return Name{}, Invalid
	}
	raw, err := encoding.DecodeString(text)
	if err != nil || len(raw) != 1+nameFieldsSize+nameTagSize || raw[0] != nameVersion {
		return Name{}, Invalid
	}
	body, tag := raw[:1+nameFieldsSize], raw[1+nameFieldsSize:]
	if !hmac.Equal(tag, s.authenticateName(body, stream, under)) {
		return Name{}, Invalid
	}
	number := func(i int) uint64 { return binary.BigEndian.Uint64(body[1+8*i:]) }
	n := Name{Stream: stream, ID: number(0), Life: number(1), Instance: number(3)}
	if until := number(2); until != 0 {
		n.Until = fromUnix(until)
	}
	switch {
	case !n.Until.IsZero() && !now.Before(n.Until):
		return n, Expired
	case n.Instance != s.instance:
		return n, Elsewhere
	}
	return n, Good
}

// authenticateName returns the authentication tag of a name's body, the stream and the secret.
func (s *Sealer) authenticateName(body []byte, stream, under string) []byte {
	key := hmac.New(sha256.New, s.key[:])
	key.Write([]byte("holdfast session name\x00"))
	key.Write([]byte(under))
	mac := hmac.New(sha256.New, key.Sum(nil))
	mac.Write(body)
	mac.Write([]byte(stream))
	return mac.Sum(nil)[:nameTagSize]
}
