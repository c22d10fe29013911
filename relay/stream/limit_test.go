package stream

import (
	"slices"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// limited is a session that can ask for less.
type limited struct {
	session
	asked []float64
}

func (l *limited) Limits() bool { return true }

func (l *limited) Limit(bits float64) { l.asked = append(l.asked, bits) }

// limitedPush publishes with a session that can ask for less.
func (b *bench) limitedPush(o gen.Options) (*limited, *push) {
	b.t.Helper()
	s := &limited{}
	sink, err := b.Publish(b.t.Context(), ingest.Request{App: "live", Name: "cam", Protocol: ingest.RTMP, Session: s})
	if err != nil {
		b.t.Fatal(err)
	}
	return s, &push{b: b, sess: &s.session, sink: sink, gen: gen.New(o), began: time.Now()}
}

func TestLimitReachesWhoeverFeeds(t *testing.T) {
	story(t, nil, func(b *bench) {
		b.Limit(2e6) // nobody is there to be asked
		first, p := b.limitedPush(gen.Options{})
		p.run(3 * time.Second)
		b.Limit(1e6)
		b.Limit(1e6)
		if got := b.Snapshot(time.Now()).Ceiling; got != 1e6 {
			t.Errorf("the snapshot has a ceiling of %v", got)
		}
		if want := []float64{2e6, 1e6}; !slices.Equal(first.asked, want) {
			t.Errorf("the first was asked for %v, not %v", first.asked, want)
		}
		p.sink.End(ingest.Reset, "")
		next, q := b.limitedPush(gen.Options{Source: 1})
		q.run(3 * time.Second)
		b.Limit(0)
		if want := []float64{1e6, 0}; !slices.Equal(next.asked, want) {
			t.Errorf("the next was asked for %v, not %v", next.asked, want)
		}
		q.sink.End(ingest.Reset, "")
		plain := b.publish(gen.Options{Source: 2}) // is not asked, and does not mind
		plain.run(time.Second)
		b.Limit(1e6)
	})
}

// Of what routes and the operator ask for the lower counts.
func TestTheLowerCeilingCounts(t *testing.T) {
	story(t, nil, func(b *bench) {
		one, p := b.limitedPush(gen.Options{})
		p.run(3 * time.Second)
		b.Limit(1e6)
		if !b.Cap(2e6) {
			t.Error("nobody can be asked")
		}
		b.Cap(5e5)
		b.Limit(0)
		b.Limit(4e5)
		b.Cap(0)
		b.Limit(0)
		if want := []float64{1e6, 5e5, 4e5, 0}; !slices.Equal(one.asked, want) {
			t.Errorf("asked for %v, not %v", one.asked, want)
		}
	})
}
