package app

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-live/holdfast/cmd/internal/redact"
	"github.com/holdfast-live/holdfast/configs"
	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/qos/policy"
	"github.com/holdfast-live/holdfast/qos/prom"
	"github.com/holdfast-live/holdfast/relay/admission"
	"github.com/holdfast-live/holdfast/relay/api"
	"github.com/holdfast-live/holdfast/relay/hub"
	"github.com/holdfast-live/holdfast/relay/route"
	"github.com/holdfast-live/holdfast/relay/stream"
)

// keptAgent records the agent of the admitted publisher.
type keptAgent struct{ agent string }

func (k *keptAgent) Publish(_ context.Context, r ingest.Request) (ingest.Sink, error) {
	k.agent = r.Agent
	return nil, &ingest.Refusal{Outcome: ingest.RefusedLimit, Reason: "enough"}
}

// An encoder or a destination that mentions a key does not get it into the API, hooks or events.
func TestSecretsInWordsOfPeers(t *testing.T) {
	cfg := configs.Default()
	cfg.Defaults.PublishKeys = []string{pastedKey}
	hidden := &redact.Secrets{}
	hidden.Set(configuredSecrets(&cfg)...)
	words := "encoder/1 " + pastedKey + " ?key=unknown-S3cr3t"

	next := &keptAgent{}
	metrics, err := prom.New(prometheus.NewRegistry(), prom.Labels{})
	if err != nil {
		t.Fatal(err)
	}
	p := admission.New(admission.Options{Publisher: next, Metrics: metrics, Redact: hidden.Text, IsSecret: hidden.Is})
	_, _ = p.Publish(t.Context(), ingest.Request{App: "live", Name: "cam", Agent: words, Session: fakeSession{}})

	// The observers' log does not hide secrets here: it has what events have.
	var told bytes.Buffer
	log, events := slog.New(slog.NewTextHandler(&told, nil)), api.NewEvents()
	defer events.Close()
	o := &observer{metrics: metrics, events: events, log: log, secrets: hidden, feeding: &activeSessions{}, names: hub.NewLiveNames()}
	o.Observe(stream.Event{Stream: "live/cam", Type: stream.TrackSilent, Track: "video", Detail: words})
	r := &routeObserver{metrics: metrics, events: events, log: log, secrets: hidden, feeding: &activeSessions{}}
	r.Observe(route.Event{Stream: "live/cam", Type: route.Broke, Detail: words})
	v := &routesView{secrets: hidden}
	for what, text := range map[string]string{
		"agent": next.agent, "events": told.String(), "last failure": v.oneRoute(policy.RouteStatus{}, route.Connection{Last: words}).LastFailure,
	} {
		if strings.Contains(text, pastedKey) || strings.Contains(text, "S3cr3t") || !strings.Contains(text, "encoder/1") {
			t.Errorf("%s: got %q", what, text)
		}
	}
	if n := strings.Count(told.String(), "encoder/1"); n != 2 {
		t.Errorf("got %d events with details, want 2: %s", n, told.String())
	}
}
