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
	// Join admits a viewer and subscribes it to a stream. It may block until it is the viewer's
	// turn, or until a stream that is about to start has started. A rejection is returned as an
	// *ingest.Refusal; Grant is set in that case too.
	Join(ctx context.Context, r Request) (Subscription, Grant, error)
}

// Request is a viewer's request to play a stream.
type Request struct {
	App, Name string
	Token     string // play token; a secret
	Protocol  string // as named in metrics
	Remote    string // host:port of the viewer
	Agent     string
	Audio     []packetbuf.Codec // audio codecs that the viewer can play; empty means any
	// Resume is set for a viewer whose connection was cut.
	Resume *Resume
	// Resumable asks for a resume token in the grant.
	Resumable bool
	Priority  JoinPriority
	Begin     Begin
	// Session is the name of an HLS session, taken from the URL. If the relay has issued it and it
	// has not ended, it replaces the play token for which it was issued.
	Session string
	// ReportsOutcome is set by callers that call Metrics.Joined themselves, because joining is
	// only one of their steps.
	ReportsOutcome bool
}

// JoinPriority is the priority of a viewer among viewers that join at the same time. It is
// determined without a token, so nothing else may depend on it.
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

// Begin says at which packets a viewer can begin to play.
type Begin int

const (
	// AtKeyframe is for viewers that begin at a keyframe.
	AtKeyframe Begin = iota
	// AtRecovery is for viewers that begin at a keyframe or at a recovery point, such as native
	// players.
	AtRecovery
	// Anywhere is for viewers that have media and continue it, and can begin at any packet.
	Anywhere
)

// Resume is the position at which a viewer was cut off.
type Resume struct {
	Token string // resume token of the viewer's Grant; a secret
	// Track and DTS identify the last media packet that the viewer has received completely. The low
	// 32 bits of the DTS in milliseconds are sufficient; a negative DTS means that the packet is
	// unknown.
	Track packetbuf.Track
	DTS   time.Duration
	// Seq is that packet's sequence number, or 0 if the protocol does not carry it. If it is 0,
	// Track and DTS are used.
	Seq uint64
	// Chunks is set if the viewer continues with fMP4 chunks, which are stored outside of the
	// stream's buffer. With a valid token it can then begin anywhere.
	Chunks bool
}

// Resumed says how a viewer was resumed. Its values are sent in the header Holdfast-Resume and used
// in the metric of resumes.
type Resumed string

const (
	// Exact means that the viewer continues with the next packet.
	Exact Resumed = "exact"
	// Keyframe means that the viewer begins again at the newest keyframe.
	Keyframe Resumed = "keyframe"
	// Expired is like Keyframe, for a viewer whose resume token has expired. Only the metric
	// distinguishes the two.
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

// Outcome returns the outcome of a request to resume, as counted in metrics.
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

// Metrics counts viewers' requests and the bytes that viewers are sent.
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

// HTTP has the functions that all HTTP handlers of the relay share.
type HTTP interface {
	// Remote returns the viewer's host:port as reported by trusted proxies.
	Remote(r *http.Request) string
	// Refuse writes an error response with the status, text and headers of the refusal err.
	Refuse(w http.ResponseWriter, r *http.Request, err error)
	// Problem writes an error response in the format of RFC 9457. If reason is worded for viewers,
	// detail is the technical reason; otherwise detail is empty.
	Problem(w http.ResponseWriter, status int, reason, hint, detail string)
}
