package resume

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"time"
)

// Name is a session's name that stands in URLs, such as those of HLS playlists. It is not a secret of
// its own: whoever has the URL has the name. What it says is authenticated, so that only names that a
// relay with the same key has given out count.
type Name struct {
	Stream string // {app}/{name}; not part of the text
	ID     uint64 // a random number
	Life   uint64 // as in Claims
	// Until is when the play token expires that the session was admitted by, in whole seconds; the
	// zero Time is never.
	Until time.Time
	// Instance is set by SealName.
	Instance uint64
}

// A name is, in URL-safe base64 without padding: version, 1 byte · ID, life, until and instance, 8
// each · tag, 16. Numbers are big-endian.
const (
	nameVersion = 1
	nameFields  = 4 * 8
	nameTag     = 16
)

// SealName returns the text of a name. under is as for Seal.
func (s *Sealer) SealName(n Name, under string) string {
	raw := make([]byte, 0, 1+nameFields+nameTag)
	raw = append(raw, nameVersion)
	for _, v := range [...]uint64{n.ID, n.Life, deadline(n.Until), s.instance} {
		raw = binary.BigEndian.AppendUint64(raw, v)
	}
	return encoding.EncodeToString(append(raw, s.nameTag(raw, n.Stream, under)...))
}

// OpenName reads the text of a name for a stream. The verdict is as that of Open.
func (s *Sealer) OpenName(now time.Time, text, stream, under string) (Name, Verdict) {
	if len(text) != encoding.EncodedLen(1+nameFields+nameTag) {
		return Name{}, Invalid
	}
	raw, err := encoding.DecodeString(text)
	if err != nil || len(raw) != 1+nameFields+nameTag || raw[0] != nameVersion {
		return Name{}, Invalid
	}
	body, tag := raw[:1+nameFields], raw[1+nameFields:]
	if !hmac.Equal(tag, s.nameTag(body, stream, under)) {
		return Name{}, Invalid
	}
	number := func(i int) uint64 { return binary.BigEndian.Uint64(body[1+8*i:]) }
	n := Name{Stream: stream, ID: number(0), Life: number(1), Instance: number(3)}
	if until := number(2); until != 0 {
		n.Until = moment(until)
	}
	switch {
	case !n.Until.IsZero() && !now.Before(n.Until):
		return n, Expired
	case n.Instance != s.instance:
		return n, Elsewhere
	}
	return n, Good
}

// nameTag authenticates the body of a name together with what is not in it.
func (s *Sealer) nameTag(body []byte, stream, under string) []byte {
	key := hmac.New(sha256.New, s.key[:])
	key.Write([]byte("holdfast session name\x00"))
	key.Write([]byte(under))
	mac := hmac.New(sha256.New, key.Sum(nil))
	mac.Write(body)
	mac.Write([]byte(stream))
	return mac.Sum(nil)[:nameTag]
}
