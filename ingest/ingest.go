// Package ingest defines what the rest of the relay knows of a publisher: its request, its session,
// the sink that it writes to, and why it ended. The subpackages for protocols implement Session,
// and ask an Access to admit publishers.
package ingest

import (
	"context"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// Protocols of publishers, as named in metrics.
const (
	RTMP  = "rtmp"
	RTMPS = "rtmps"
	WHIP  = "whip"
	Pull  = "pull"
	// Transcode is a rendition that the relay produces.
	Transcode = "transcode"
)

// Cause is the reason why a publisher session broke or ended. The values are the label values of
// holdfast_publish_breaks_total.
type Cause string

// The causes of a break.
const (
	Reset      Cause = "reset"       // the socket failed
	EOF        Cause = "eof"         // the socket was closed without an unpublish
	Silence    Cause = "silence"     // no media on an open socket
	FirstMedia Cause = "first_media" // no media has arrived since the start
	Timeout    Cause = "timeout"     // the transport timed out
	ICE        Cause = "ice"         // ICE failed
	Takeover   Cause = "takeover"    // another publisher took over the stream
	Unpublish  Cause = "unpublish"   // a clean end
	Kick       Cause = "kick"        // closed by the operator, or because of a fault of the relay
	Shutdown   Cause = "shutdown"    // the relay shuts down
	Protocol   Cause = "protocol"    // the peer violated the protocol
)

// Causes returns all causes, for metrics that start at 0.
func Causes() []Cause {
	return []Cause{Reset, EOF, Silence, FirstMedia, Timeout, ICE, Takeover, Unpublish, Kick, Shutdown, Protocol}
}

// Outcome is the result of a request to publish. The values are the label values of
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

// NoKeyframe is the outcome of a request to play a stream that has no keyframe to begin at.
const NoKeyframe Outcome = "no_keyframe"

// Outcomes returns all outcomes of a request to publish, for metrics that start at 0.
func Outcomes() []Outcome {
	return []Outcome{Accepted, RefusedName, RefusedKey, RefusedTakeover, RefusedLimit, RefusedCodec}
}

// Refusal is the error that refuses a request to publish or to play. Each protocol sends it to the
// peer in its own form.
type Refusal struct {
	Outcome Outcome // of a request to publish; usually empty for a request to play
	// Reason says what was wrong, and Hint what to do. Both are sent to the peer; neither
	// contains a secret.
	Reason, Hint string
	// Detail is the technical reason if Reason and Hint are written for viewers. It is for logs and
	// programs, and contains no secret.
	Detail string
	// NotLive is set if the peer asked to play a stream that is not live.
	NotLive bool
	// Expected is set if the peer asked to play a stream that was live before the relay restarted
	// and is expected to return.
	Expected bool
	// RetryAfter is how long the peer should wait; 0 means that a retry does not help or
	// that the time is unknown.
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

// Words returns the refusal as sentences for users, without Detail.
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

// Request is a peer's request to publish.
type Request struct {
	App, Name string // as in the URL, unescaped, without the query
	Key       string // the publish key; a secret
	Backup    bool   // ?backup=1
	Protocol  string
	Remote    string // host:port of the peer, or of the client behind a trusted proxy
	Agent     string // flashVer or User-Agent as sent by the peer, at most 256 bytes
	Session   Session
}

// Session is a publisher's connection as the stream sees it.
type Session interface {
	// ID returns an identifier that is unique within the process, for logs and events.
	ID() string
	// Close ends the session and tells the peer why. It does not wait, may be called repeatedly
	// and from any goroutine, also from within Sink.Write.
	Close(cause Cause, reason string)
	// RTT returns the smoothed round-trip time and its mean deviation; 0, 0 if unknown.
	RTT() (srtt, rttvar time.Duration)
}

// Limiter is a Session that may be able to ask its publisher for a lower bitrate.
type Limiter interface {
	// Limits reports whether Limit has any effect.
	Limits() bool
	// Limit asks the publisher to send at most the given number of bits per second; 0 means no
	// limit. The publisher may ignore it. Limit does not wait and may be called from any goroutine.
	Limit(bits float64)
}

// Backlogger is a Session that knows whether the relay has yet to process data that its publisher
// has sent.
type Backlogger interface {
	// Unread reports whether received bytes wait in the socket or are being processed. If so, the
	// relay and not the publisher is the cause of missing media. Unread does not wait and may be
	// called from any goroutine.
	Unread() bool
}

// Beater is a Session that sends its publisher heartbeats.
type Beater interface {
	// Heartbeat returns the current interval between heartbeats. It may be called from any
	// goroutine.
	Heartbeat() time.Duration
}

// KeyRequester is a Session that can ask its publisher for a keyframe.
type KeyRequester interface {
	// RequestKey requests a keyframe from the publisher. It does not wait, and may be called from
	// any goroutine and at any rate: the session limits how often it asks its publisher.
	RequestKey()
}

// Sink receives a session's packets. Its methods must be called from one
// goroutine.
type Sink interface {
	// Write adds a packet, which has the publisher's own timestamps. They may wrap or not: for
	// RTMP, only the low 32 bits of the milliseconds are used (see packetbuf/timeline). The packet
	// then belongs to the sink. After an error the session must end.
	Write(p *packetbuf.Packet) error
	// End tells the sink that the session has ended, and why. It must be called exactly once, as
	// the last call.
	End(cause Cause, detail string)
}

// Access admits publishers. Publish returns a *Refusal if the publisher is not admitted.
type Access interface {
	Publish(ctx context.Context, r Request) (Sink, error)
}
