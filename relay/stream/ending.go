package stream

import (
	"cmp"

	"github.com/holdfast-live/holdfast/ingest"
)

// happened says what a push did that broke or ended for a cause.
var happened = map[ingest.Cause]string{
	ingest.Reset:      "the publisher's connection failed",
	ingest.EOF:        "the publisher's connection was closed without an unpublish",
	ingest.Silence:    "the publisher sent no media for too long",
	ingest.FirstMedia: "no media came after publish",
	ingest.Timeout:    "the publisher's connection timed out",
	ingest.ICE:        "the publisher's ICE connection failed",
	ingest.Takeover:   "another push took over the stream",
	ingest.Unpublish:  "the publisher ended the stream",
	ingest.Kick:       "the relay closed the push",
	ingest.Shutdown:   "the relay is shutting down",
	ingest.Protocol:   "the publisher broke the protocol",
}

// breakDetail returns what the log says of a push that broke or ended.
func (s *Stream) breakDetail(pub *publisherSession, cause ingest.Cause) string {
	detail := ""
	if pub != nil {
		detail = pub.detail
	}
	return cmp.Or(detail, s.reason, happened[cause])
}

// endReason returns why the stream ended: for one that never began, what its last push did.
func (s *Stream) endReason(cause ingest.Cause, began bool) string {
	switch {
	case cause == ingest.Unpublish:
		return happened[cause]
	case began:
		return "the publisher did not come back"
	}
	return cmp.Or(s.lastDetail, happened[cause])
}
