package resume

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"time"
)

// Name identifies a session in URLs, such as those of HLS playlists. It is no more secret than the URL.
// It is authenticated: a relay accepts only names issued by itself or by a relay with the same key.
type Name struct {
	Stream string // {app}/{name}; not part of the text
	ID     uint64 // random number
	Life   uint64 // as in Claims
	// Until is the time, in whole seconds, at which the play token that admitted the session expires. The
	// zero Time means never.
	Until time.Time
	// Instance identifies the relay instance that sealed the name. OpenName sets it; SealName ignores it.
	Instance uint64
}

// A name is, in URL-safe base64 without padding: version, 1 byte · ID, life, until and instance, 8
// bytes each · tag, 16 bytes. Numbers are big-endian.
const (
	nameVersion    = 1
	nameFieldsSize = 4 * 8
	nameTagSize    = 16
)

// SealName returns the text of a name, authenticated with the secret under as well, as in Seal.
func (s *Sealer) SealName(n Name, under string) string {
	raw := make([]byte, 0, 1+nameFieldsSize+nameTagSize)
	raw = append(raw, nameVersion)
	for _, v := range [...]uint64{n.ID, n.Life, unixOrZero(n.Until), s.instance} {
		raw = binary.BigEndian.AppendUint64(raw, v)
	}
	return encoding.EncodeToString(append(raw, s.authenticateName(raw, n.Stream, under)...))
}

// OpenName reads the text of a session's name for a stream. under is the secret that was passed to
// SealName. The verdict is as for Open.
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

// authenticateName returns the authentication tag over a name's body, the stream and the secret.
func (s *Sealer) authenticateName(body []byte, stream, under string) []byte {
	key := hmac.New(sha256.New, s.key[:])
	key.Write([]byte("holdfast session name\x00"))
	key.Write([]byte(under))
	mac := hmac.New(sha256.New, key.Sum(nil))
	mac.Write(body)
	mac.Write([]byte(stream))
	return mac.Sum(nil)[:nameTagSize]
}
