// Package ingest says what a publisher is to the rest of the relay: the request it
// makes, the session it becomes, the sink it writes to, and the ways it ends.
// Each protocol below it implements Session and is handed an Access.
package ingest

import (
	"context"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// Protocols of publishers, as the metrics name them.
const (
	RTMP  = "rtmp"
	RTMPS = "rtmps"
	WHIP  = "whip"
	Pull  = "pull"
	// Transcode is a rendition that the relay makes itself.
	Transcode = "transcode"
)

// Cause is why a publisher's push broke or ended. The values are the label values
// of holdfast_publish_breaks_total.
type Cause string

// The causes of a break.
const (
	Reset      Cause = "reset"       // the socket failed
	EOF        Cause = "eof"         // the socket was closed without an unpublish
	Silence    Cause = "silence"     // no media on an open socket
	FirstMedia Cause = "first_media" // never any media
	Timeout    Cause = "timeout"     // the transport gave the peer up
	ICE        Cause = "ice"         // ICE failed
	Takeover   Cause = "takeover"    // another push took the stream
	Unpublish  Cause = "unpublish"   // a clean end
	Kick       Cause = "kick"        // the operator, or a fault of the relay, closed it
	Shutdown   Cause = "shutdown"    // the relay itself ends
	Protocol   Cause = "protocol"    // the peer broke the protocol's rules
)

// Causes lists every cause, for metrics that start at 0.
func Causes() []Cause {
	return []Cause{Reset, EOF, Silence, FirstMedia, Timeout, ICE, Takeover, Unpublish, Kick, Shutdown, Protocol}
}

// Outcome is what became of a request to publish. The values are the label values of
// holdfast_publish_sessions_total.
type Outcome string

// The outcomes of a request to publish.
const (
	Accepted        Outcome = "accepted"
	RefusedName     Outcome = "refused_name"
	RefusedKey      Outcome = "refused_key"
	RefusedTakeover Outcome = "refused_takeover"
	RefusedLimit    Outcome = "refused_limit"
	RefusedCodec    Outcome = "refused_codec"
)

// NoKeyframe is the outcome of a play of a stream that has no keyframe to begin at.
const NoKeyframe Outcome = "no_keyframe"

// Outcomes lists every outcome of a publish, for metrics that start at 0.
func Outcomes() []Outcome {
	return []Outcome{Accepted, RefusedName, RefusedKey, RefusedTakeover, RefusedLimit, RefusedCodec}
}

// Refusal is the error with which a publish or a play is refused. Each protocol says it
// to its peer in its own terms.
type Refusal struct {
	Outcome Outcome // for a publish; of a play empty as a rule
	// Reason says what was wrong, Hint what would be right. Both go to the peer; neither
	// holds a secret.
	Reason, Hint string
	// Detail is the technical reason where Reason and Hint are words for viewers; for logs and
	// programs. It holds no secret.
	Detail string
	// NotLive marks a play of a stream that is not there (yet).
	NotLive bool
	// Expected marks a play of a stream that was live before a restart and is expected back.
	Expected bool
	// RetryAfter is how long the peer should wait; 0 means that a retry does not help or
	// that the time is not known.
	RetryAfter time.Duration
}

func (r *Refusal) Error() string {
	s := r.Reason
	if r.Hint != "" {
		s += "; " + r.Hint
	}
	if r.Detail != "" {
		s += " (" + r.Detail + ")"
	}
	return s
}

// Words returns the refusal as sentences for people, without Detail.
func (r *Refusal) Words() string {
	var b strings.Builder
	for _, part := range []string{r.Reason, r.Hint} {
		first, size := utf8.DecodeRuneInString(part)
		if size == 0 {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(unicode.ToUpper(first))
		b.WriteString(strings.TrimSuffix(part[size:], "."))
		b.WriteByte('.')
	}
	return b.String()
}

// Request is a peer's wish to publish.
type Request struct {
	App, Name string // as the URL had them, unescaped, without the query
	Key       string // the publish key; a secret
	Backup    bool   // ?backup=1
	Protocol  string
	Remote    string // host:port of the peer, or of the client behind a trusted proxy
	Agent     string // flashVer or User-Agent, as the peer says, at most 256 bytes
	Session   Session
}

// Session is a publisher's connection as the stream sees it.
type Session interface {
	// ID is unique in the process's life; it runs through all log lines and events.
	ID() string
	// Close ends the session and tells the peer why. It does not wait and may be called
	// from any goroutine, also from within Sink.Write, any number of times.
	Close(cause Cause, reason string)
	// RTT is the smoothed round-trip time and its mean deviation; 0, 0 while unknown.
	RTT() (srtt, rttvar time.Duration)
}

// Limiter is a Session that may be able to ask its publisher for less.
type Limiter interface {
	// Limits tells whether it is: whether Limit does anything.
	Limits() bool
	// Limit says how much the publisher should send at most, in bits per second; 0 is no
	// bound. It is a wish: a publisher may not react. It does not wait and may be called from
	// any goroutine.
	Limit(bits float64)
}

// Backlogger is a Session that knows what its publisher has sent and the relay has not
// handled yet.
type Backlogger interface {
	// Unread reports whether received bytes wait in the socket, or are being handled. While
	// they do, silence is the relay's own lateness. It does not wait and may be called from
	// any goroutine.
	Unread() bool
}

// Beater is a Session that asks its publisher for signs of life.
type Beater interface {
	// Heartbeat is the time between two of them as things are. It may be called from any
	// goroutine.
	Heartbeat() time.Duration
}

// KeyRequester is a Session that can ask its publisher for a keyframe.
type KeyRequester interface {
	// RequestKey asks for a keyframe soon. It does not wait, may be called from any goroutine,
	// and as often as one likes: the session asks its publisher no more often than is good.
	RequestKey()
}

// Sink is where a session puts what it receives. Its methods are called from one
// goroutine.
type Sink interface {
	// Write hands over one packet with the publisher's own timestamps (unwrapped or not:
	// only the low 32 bits of the milliseconds are relied on for RTMP; see
	// packetbuf/timeline). The packet is the sink's from then on. An error means that the
	// session is over for this stream and must end.
	Write(p *packetbuf.Packet) error
	// End says that the session is over, and why. Called once, last.
	End(cause Cause, detail string)
}

// Access admits publishers. A refusal is a *Refusal.
type Access interface {
	Publish(ctx context.Context, r Request) (Sink, error)
}
