package egress

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// Admission admits viewers of all protocols.
type Admission interface {
	// Join admits a viewer and subscribes it to a stream. It may block until the viewer's turn,
	// or until a stream that is about to start has started. A rejection is returned as an
	// *ingest.Refusal; Grant is set in that case too.
	Join(ctx context.Context, r Request) (Subscription, Grant, error)
}

// Request is a viewer's request to play a stream.
type Request struct {
	App, Name string
	Token     string // play token; a secret
	Protocol  string // as the metrics name it
	Remote    string // host:port of the viewer
	Agent     string
	Audio     []packetbuf.Codec // audio codecs that the viewer can play; empty: any
	// Resume is set for a viewer whose connection was cut.
	Resume *Resume
	// Resumable asks for a resume token in the grant.
	Resumable bool
	Priority  JoinPriority
	Begin     Begin
	// Session is the name of an HLS session in the URL. A session that the relay has issued and
	// that has not ended replaces the play token that it was issued for.
	Session string
	// ReportsOutcome is set by callers that call Metrics.Joined themselves, because joining is
	// only one of their steps.
	ReportsOutcome bool
}

// JoinPriority is the priority of a viewer among those that join at once. It is derived without
// a token and decides nothing else.
type JoinPriority int

const (
	// NewViewer is the priority of a viewer that joins for the first time.
	NewViewer JoinPriority = iota
	// ReturningViewer is the priority of a viewer that was admitted before.
	ReturningViewer
	// ActiveViewer is the priority of a viewer that switches to another rendition. It does not
	// wait.
	ActiveViewer
)

// Begin says at which packets a viewer can begin.
type Begin int

const (
	// AtKeyframe is for viewers that begin at a keyframe.
	AtKeyframe Begin = iota
	// AtRecovery is for viewers that begin at a keyframe or at a recovery point, such as native
	// players.
	AtRecovery
	// Anywhere is for viewers that continue media that they have.
	Anywhere
)

// Resume is the position at which a viewer was cut off.
type Resume struct {
	Token string // resume token of the viewer's Grant; a secret
	// Track and DTS identify the last media packet that the viewer has received in full. The low
	// 32 bits of the DTS in milliseconds are enough; a negative DTS means none.
	Track packetbuf.Track
	DTS   time.Duration
	// Seq is that packet's sequence number, if the protocol carries it. If it is 0, Track and
	// DTS decide.
	Seq uint64
	// Chunks is set if the viewer continues with chunks, which are kept outside the stream's
	// buffer: with a valid token it can begin anywhere.
	Chunks bool
}

// Resumed is how a viewer was resumed. Its values appear in the header Holdfast-Resume and in
// the metric of resumes.
type Resumed string

const (
	// Exact means that the viewer continues with the next packet.
	Exact Resumed = "exact"
	// Keyframe means that the viewer begins again at the newest keyframe.
	Keyframe Resumed = "keyframe"
	// Expired means Keyframe for a viewer whose resume token has expired. Only the metric
	// distinguishes them.
	Expired Resumed = "expired"
	// None means that the viewer did not ask to resume.
	None Resumed = "none"
)

// Grant describes the admission of a viewer.
type Grant struct {
	Token   string // resume token, if Request.Resumable is set; a secret
	Resumed Resumed
	// Known reports whether the viewer's resume token was issued by this process for the stream
	// of the subscription.
	Known bool
	// Expired reports whether the resume token was valid but has expired.
	Expired bool
}

// Outcome returns the outcome of a request to resume, as the metrics count it.
func (g Grant) Outcome() string {
	if g.Expired {
		return string(Expired)
	}
	return string(g.Resumed)
}

// Subscription is a viewer's subscription to a stream. It lasts until Close.
type Subscription interface {
	Reader
	// Has reports whether the stream had a track when the viewer joined.
	Has(packetbuf.Track) bool
	// Until returns when the viewer's play token expires and Read ends. The zero Time means
	// never.
	Until() time.Time
	Close()
}

// Metrics counts what viewers request and are sent.
type Metrics interface {
	// SentBytes returns the counter of the bytes sent over a protocol.
	SentBytes(protocol string) *atomic.Uint64
	// FirstMedia observes the time from a viewer's request to its first media.
	FirstMedia(protocol string, took time.Duration)
	// Joined counts a request to play by its outcome. A nil error means that the viewer was
	// admitted.
	Joined(protocol string, err error)
	// Resumed counts a request to resume by its outcome; see Grant.Outcome.
	Resumed(protocol, outcome string)
}

// HTTP holds what all HTTP handlers of the relay answer alike.
type HTTP interface {
	// Remote returns the viewer's host:port as reported by trusted proxies.
	Remote(r *http.Request) string
	// Refuse answers with the status, text and headers of the refusal err.
	Refuse(w http.ResponseWriter, r *http.Request, err error)
	// Problem answers with a problem (RFC 9457). detail is the technical reason behind a reason
	// that is worded for viewers; it may be empty.
	Problem(w http.ResponseWriter, status int, reason, hint, detail string)
}
