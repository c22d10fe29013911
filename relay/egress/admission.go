package egress

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// Admission lets viewers of all protocols in.
type Admission interface {
	// Join admits a viewer and subscribes it to a stream. It may wait: for the viewer's turn, and for
	// a stream that is on its way. A refusal is an *ingest.Refusal; Grant is set beside one too.
	Join(ctx context.Context, r Request) (Subscription, Grant, error)
}

// Request is a viewer's request to play a stream.
type Request struct {
	App, Name string
	Token     string // play token; a secret
	Protocol  string // as the metrics name it
	Remote    string // host:port of the viewer
	Agent     string
	Audio     []packetbuf.Codec // audio codecs that the viewer takes; none: any
	// Resume is set for a viewer that was cut off.
	Resume *Resume
	// Resumable asks for a resume token in the grant.
	Resumable bool
	Priority  JoinPriority
	Begin     Begin
	// Session is the name of an HLS session in the URL. One that the relay has issued, and that has not
	// ended, stands for the play token that it was issued for.
	Session string
	// ReportsOutcome is set by callers that count the outcome with Metrics.Joined themselves, since the
	// join is only one step of theirs.
	ReportsOutcome bool
}

// JoinPriority is how far a viewer has come already, as far as that is known without a token. It
// orders viewers that join at once, and decides nothing else.
type JoinPriority int

const (
	// NewViewer joins for the first time.
	NewViewer JoinPriority = iota
	// ReturningViewer was admitted before.
	ReturningViewer
	// ActiveViewer is watching, and changes to another rendition. It waits for no turn.
	ActiveViewer
)

// Begin is where a viewer can begin.
type Begin int

const (
	// AtKeyframe begins at a keyframe.
	AtKeyframe Begin = iota
	// AtRecovery begins at a keyframe or at a recovery point, where decoders of programs can begin.
	AtRecovery
	// Anywhere is for viewers that have media of their own to go on from.
	Anywhere
)

// Resume is where a viewer was cut off.
type Resume struct {
	Token string // of its grant; a secret
	// Track and DTS are those of the last media packet that the viewer has received whole. The low 32
	// bits of the DTS in milliseconds are enough; a negative DTS is none.
	Track packetbuf.Track
	DTS   time.Duration
	// Seq is that packet's sequence number, where the protocol carries it; 0: Track and DTS decide.
	Seq uint64
	// Chunks is set where the viewer goes on with chunks, which are kept apart from the stream's
	// buffer: with a valid token it can begin anywhere.
	Chunks bool
}

// Resumed says how a viewer was resumed. The values are those of the header Holdfast-Resume and of the
// metric of resumes.
type Resumed string

const (
	// Exact: the viewer goes on with the very next packet.
	Exact Resumed = "exact"
	// Keyframe: the viewer begins anew at the newest keyframe.
	Keyframe Resumed = "keyframe"
	// Expired is Keyframe for a viewer whose resume token has expired. Only the metric tells them apart.
	Expired Resumed = "expired"
	// None: the viewer did not ask to resume.
	None Resumed = "none"
)

// Grant is what a viewer was admitted with.
type Grant struct {
	Token   string // with which the viewer may resume, where Request.Resumable is set; a secret
	Resumed Resumed
	// Known reports whether the viewer's resume token was issued by this process and for the very
	// stream of the subscription.
	Known bool
	// Expired reports whether the resume token was valid once.
	Expired bool
}

// Outcome returns the outcome of a request to resume, as the metrics count it.
func (g Grant) Outcome() string {
	if g.Expired {
		return string(Expired)
	}
	return string(g.Resumed)
}

// Subscription is a viewer's subscription to a stream, until it is closed.
type Subscription interface {
	Reader
	// Has reports whether the stream had a track when the viewer joined.
	Has(packetbuf.Track) bool
	// Until returns when the viewer's play token expires, at which Read ends; the zero Time is never.
	Until() time.Time
	Close()
}

// Metrics counts what viewers do.
type Metrics interface {
	// SentBytes returns the counter of the bytes that a protocol has sent.
	SentBytes(protocol string) *atomic.Uint64
	// FirstMedia observes how long after its request a viewer was sent its first media.
	FirstMedia(protocol string, took time.Duration)
	// Joined counts a request to play by its outcome; nil: the viewer was admitted.
	Joined(protocol string, err error)
	// Resumed counts a request to resume by its outcome; see Grant.
	Resumed(protocol, outcome string)
}

// HTTP answers viewers' requests in the way of the whole relay.
type HTTP interface {
	// Remote returns the host:port of the viewer, from behind trusted proxies.
	Remote(r *http.Request) string
	// Refuse answers with the status, the words and the headers of a refusal.
	Refuse(w http.ResponseWriter, r *http.Request, err error)
	// Problem answers with a problem (RFC 9457). detail is the technical reason behind one that is in
	// words for viewers; it may be empty.
	Problem(w http.ResponseWriter, status int, reason, hint, detail string)
}
