package stream

import (
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// What the events say of a push that broke or ended, and of the stream's end, is what happened.
func TestEventsSayHowAPushEnded(t *testing.T) {
	for name, c := range map[string]struct {
		runs      time.Duration // before the end; 0: no media came
		end       func(b *bench, p *push)
		cause     ingest.Cause // of both
		broke     string
		ended     string
		waitAfter time.Duration
	}{
		"a protocol error before media": {0, func(_ *bench, p *push) {
			p.sink.End(ingest.Protocol, "Sorenson H.263 is not supported")
		}, ingest.Protocol, "Sorenson H.263 is not supported", "Sorenson H.263 is not supported", 0},
		"no media": {
			0, func(*bench, *push) {}, ingest.FirstMedia,
			"no media came after publish", "no media came after publish", time.Minute,
		},
		"an unpublish before media": {0, func(_ *bench, p *push) {
			p.sink.End(ingest.Unpublish, "")
		}, ingest.Unpublish, "the publisher ended the stream", "the publisher ended the stream", 0},
		"an unpublish": {3 * time.Second, func(_ *bench, p *push) {
			p.sink.End(ingest.Unpublish, "FCUnpublish")
		}, ingest.Unpublish, "FCUnpublish", "the publisher ended the stream", time.Minute},
		"a protocol error": {3 * time.Second, func(_ *bench, p *push) {
			p.sink.End(ingest.Protocol, "bad chunk")
		}, ingest.Protocol, "bad chunk", "the publisher did not come back", time.Minute},
		"a kick": {3 * time.Second, func(b *bench, _ *push) {
			b.Kick("the operator ended this push")
		}, ingest.Kick, "the operator ended this push", "the publisher did not come back", time.Minute},
		"the relay's end": {3 * time.Second, func(b *bench, _ *push) {
			b.Close(ingest.Shutdown, "the relay is shutting down")
		}, ingest.Shutdown, "the relay is shutting down", "the relay is shutting down", 0},
	} {
		t.Run(name, func(t *testing.T) {
			story(t, nil, func(b *bench) {
				p := b.publish(gen.Options{})
				if c.runs > 0 {
					p.run(c.runs)
				}
				c.end(b, p)
				time.Sleep(c.waitAfter)
				<-b.Done()
				var broke, ended Event
				for _, e := range b.told() {
					switch e.Type {
					case Broke:
						broke = e
					case Ended:
						ended = e
					}
				}
				if broke.Cause != c.cause || broke.Detail != c.broke {
					t.Errorf("got the break %s, %q, want %s, %q", broke.Cause, broke.Detail, c.cause, c.broke)
				}
				if ended.Cause != c.cause || ended.Detail != c.ended {
					t.Errorf("got the end %s, %q, want %s, %q", ended.Cause, ended.Detail, c.cause, c.ended)
				}
			})
		})
	}
}
