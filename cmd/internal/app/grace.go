package app

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/relay/egress/hls"
	"github.com/holdfast-live/holdfast/relay/egress/mse"
	"github.com/holdfast-live/holdfast/relay/egress/status"
	"github.com/holdfast-live/holdfast/relay/egress/whep"
)

const (
	// hlsWait is how long an HLS request waits for a stream that is expected back after a restart. Players
	// such as hls.js abort requests without a response after 10 s.
	hlsWait = 8 * time.Second
	// restarted is the cause displayed with the state of a stream that is expected back.
	restarted = "restart"
)

// graceWait returns how long a viewer waits for a stream that is expected back after a restart. left is
// the rest of the grace period. Players over WebSocket and WebRTC do not wait: they are refused at once
// and retry by themselves.
func graceWait(protocol string, left time.Duration) time.Duration {
	switch protocol {
	case mse.Protocol, whep.Protocol:
		return 0
	case hls.Protocol:
		return min(left, hlsWait)
	}
	return left
}

// streamsSection is the section of the state file with the names of live streams.
const streamsSection = "streams"

// streamsState is the content of the section streamsSection.
type streamsState struct {
	Version int      `json:"version"`
	Live    []string `json:"live"`
	// Expected holds the streams that were live before the relay started and are not live again yet, each
	// with the time until which it is expected back.
	Expected map[string]time.Time `json:"expected,omitempty"`
}

// streamsNow returns the current content of the section streamsSection.
func (a *App) streamsNow() (json.RawMessage, error) {
	return json.Marshal(streamsState{Version: 1, Live: a.names.List(), Expected: a.settings.returning.Deadlines()})
}

// formerStreams returns the streams in the state file, each with the time until which it is expected back
// if the relay starts at time now.
func (a *App) formerStreams(now time.Time) map[string]time.Time {
	data, grace := a.state.Section(streamsSection), a.settings.get().State.Grace
	if data == nil || grace == 0 {
		return nil
	}
	var in streamsState
	if err := json.Unmarshal(data, &in); err != nil || in.Version != 1 {
		a.log.Warn("names of live streams in the state file unreadable; no stream is expected back", "err", err)
		return nil
	}
	out := map[string]time.Time{}
	for name, until := range in.Expected {
		if until.After(now) {
			out[name] = until
		}
	}
	for _, name := range in.Live {
		out[name] = now.Add(grace)
	}
	for name, until := range out {
		app, leaf, _ := strings.Cut(name, "/")
		if full, err := ingest.StreamName(app, leaf); err != nil || full != name || until.After(now.Add(grace)) {
			delete(out, name)
		}
	}
	return out
}

// expectStreams starts the grace period after a restart, in which viewers wait for the streams that were
// live before. The returned function ends it.
func (a *App) expectStreams() (stop func()) {
	now := time.Now()
	former := a.formerStreams(now)
	if len(former) == 0 {
		return func() {}
	}
	for name := range former {
		a.board.Set(now, name, status.Held, restarted)
	}
	a.settings.returning.Expect(former)
	a.names.Touch()
	a.log.Info("streams expected back after the restart", "streams", len(former), "grace", a.settings.get().State.Grace.String())
	ctx, cancel := context.WithCancel(context.Background())
	var waiting sync.WaitGroup
	waiting.Go(func() {
		for {
			lost, next := a.settings.returning.Expire(time.Now())
			for _, name := range lost {
				a.board.Set(time.Now(), name, status.Ended, restarted)
				a.log.Warn("stream not back after the restart", "stream", name)
			}
			if len(lost) > 0 {
				a.names.Touch()
			}
			if next.IsZero() {
				return
			}
			select {
			case <-time.After(time.Until(next)):
			case <-ctx.Done():
				return
			}
		}
	})
	return func() {
		cancel()
		waiting.Wait()
	}
}
