package stream

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/relay/lifecycle"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// A publisher that falls silent and goes on on its connection once a second: viewers are given as many
// discontinuities as pushes that dial anew may give them, the operator is told, and once the publisher
// is well the stream is live.
func TestReturnsOnOneConnectionAreBounded(t *testing.T) {
	var log bytes.Buffer
	story(t, func(c *Config) { c.Silence = 200 * time.Millisecond }, func(b *bench) {
		b.opts.Log = slog.New(slog.NewTextHandler(&log, nil))
		p := b.publish(gen.Options{GOP: 3})
		p.run(time.Second)
		const rounds, pause = 900, 300 * time.Millisecond
		for range rounds {
			time.Sleep(pause)
			p.began = p.began.Add(pause) // the encoder's clock stood
			p.run(700 * time.Millisecond)
		}
		resumed := 0
		for _, e := range b.told() {
			if e.Type == Resumed {
				resumed++
			}
		}
		if most := 300 + rounds/2 + 1; resumed > most || resumed < most/2 {
			t.Errorf("the stream resumed %d times, want about %d", resumed, most)
		}
		p.run(5 * time.Second)
		if state := b.state(); state != lifecycle.Live {
			t.Errorf("got the state %s of a publisher that is well, want live", state)
		}
		if n := strings.Count(log.String(), "returns too often"); n < 1 || n > 6 {
			t.Errorf("got %d lines in five minutes, want one a minute at most:\n%s", n, log.String())
		}
	})
}
