package admission

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/resume"
	"github.com/holdfast-live/holdfast/relay/egress"
)

// fakeStreams has one stream, live/cam. It records its calls together with those of fakeHooks.
type fakeStreams struct {
	life     uint64 // 0: it does not exist
	absent   error  // of Expects
	expected bool
	err      error // of Subscribe
	calls    []string
	at       Position
	sub      fakeSubscription
}

func (s *fakeStreams) Expects(string, string) error {
	s.calls = append(s.calls, "expects")
	return s.absent
}
func (s *fakeStreams) ExpectedBack(string) bool { return s.expected }

func (s *fakeStreams) Life(name string) uint64 {
	if name == "live/cam" {
		return s.life
	}
	return 0
}

func (s *fakeStreams) Subscribe(_ context.Context, _, _, _ string, at Position, _ ...packetbuf.Codec) (Subscription, bool, error) {
	s.calls = append(s.calls, "subscribe")
	if s.at = at; s.err != nil {
		return nil, false, s.err
	}
	s.sub = fakeSubscription{origin: Origin{Life: max(s.life, 1), Seq: 7}}
	return &s.sub, at.Origin.Life != 0, nil
}

type fakeSubscription struct {
	Subscription
	origin  Origin
	until   time.Time
	skipped bool
	closed  bool
}

func (s *fakeSubscription) Origin() Origin      { return s.origin }
func (s *fakeSubscription) Expire(at time.Time) { s.until = at }
func (s *fakeSubscription) Skip()               { s.skipped = true }
func (s *fakeSubscription) Close()              { s.closed = true }

type fakeHooks struct {
	streams *fakeStreams
	refuse  error
	viewer  string // identity of the last one
}

func (h *fakeHooks) AsksPlay(string) bool { return true }

func (h *fakeHooks) Play(_ context.Context, _ string, _ egress.Request, identity string) error {
	h.streams.calls = append(h.streams.calls, "hooks")
	h.viewer = identity
	return h.refuse
}

func (h *fakeHooks) Publish(context.Context, string, ingest.Request) error {
	h.streams.calls = append(h.streams.calls, "hooks")
	return h.refuse
}

// admissionOf returns an Admission over fakes, whose streams need a play token where secret is set.
func admissionOf(t *testing.T, secret string) (*Admission, *fakeStreams, *fakeHooks) {
	t.Helper()
	sealer, err := resume.New(make([]byte, resume.KeySize), 1)
	if err != nil {
		t.Fatal(err)
	}
	s := &fakeStreams{life: 3}
	h := &fakeHooks{streams: s}
	return New(Options{Rules: rules{secret: secret}, Streams: s, Hooks: h, Sealer: sealer, Metrics: uncounted{}}), s, h
}

// A viewer is checked, then the streams are asked whether they have the stream, then the hooks,
// and then it is subscribed. Any refusal ends this.
func TestJoinOrder(t *testing.T) {
	refusal := &ingest.Refusal{Outcome: ingest.RefusedKey, Reason: "no"}
	for _, tt := range []struct {
		name   string
		token  string
		change func(*fakeStreams, *fakeHooks)
		want   []string
		ok     bool
	}{
		{"admitted", "valid", nil, []string{"expects", "hooks", "subscribe"}, true},
		{"without a token", "", nil, nil, false},
		{"absent", "valid", func(s *fakeStreams, _ *fakeHooks) { s.absent = refusal }, []string{"expects"}, false},
		{"refused by a hook", "valid", func(_ *fakeStreams, h *fakeHooks) { h.refuse = refusal }, []string{"expects", "hooks"}, false},
		{"not live", "valid", func(s *fakeStreams, _ *fakeHooks) { s.err = refusal }, []string{"expects", "hooks", "subscribe"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, s, h := admissionOf(t, secret)
			if tt.change != nil {
				tt.change(s, h)
			}
			until := time.Now().Add(time.Hour).Truncate(time.Second)
			if tt.token != "" {
				var err error
				if tt.token, err = SignPlayToken(secret, "live/*", until); err != nil {
					t.Fatal(err)
				}
			}
			sub, grant, err := a.Join(t.Context(), egress.Request{App: "live", Name: "cam", Token: tt.token})
			if (err == nil) != tt.ok || !slices.Equal(s.calls, tt.want) {
				t.Fatalf("got %v after %v, want admitted %v after %v", err, s.calls, tt.ok, tt.want)
			}
			if !tt.ok {
				return
			}
			if sub != egress.Subscription(&s.sub) || !s.sub.until.Equal(until) || grant.Token != "" || grant.Resumed != egress.None {
				t.Errorf("got %+v until %v, want no resume token, until %v", grant, s.sub.until, until)
			}
		})
	}
}

// A viewer that waited for its stream begins at the newest keyframe, and the refusal for a
// stream that is expected back says so.
func TestJoinOfAStreamThatIsAbsent(t *testing.T) {
	a, s, _ := admissionOf(t, "")
	s.life = 0
	if _, _, err := a.Join(t.Context(), egress.Request{App: "live", Name: "cam"}); err != nil || !s.sub.skipped {
		t.Errorf("got %v, skipped %v; want to be admitted and skipped", err, s.sub.skipped)
	}
	s.err, s.expected = &ingest.Refusal{NotLive: true, RetryAfter: time.Minute}, true
	var refusal *ingest.Refusal
	if _, _, err := a.Join(t.Context(), egress.Request{App: "live", Name: "cam"}); !errors.As(err, &refusal) || !refusal.Expected || refusal.RetryAfter != time.Second {
		t.Errorf("got %+v, want a refusal that says that the stream is expected back", err)
	}
}

// A resume token resumes the viewer on its own stream, identifies it for the hooks, and gives
// the position.
func TestJoinResumes(t *testing.T) {
	a, s, h := admissionOf(t, secret)
	token, err := SignPlayToken(secret, "live/cam", time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	_, first, err := a.Join(t.Context(), egress.Request{App: "live", Name: "cam", Token: token, Resumable: true})
	if err != nil || first.Token == "" {
		t.Fatalf("got %+v, %v; want a resume token", first, err)
	}
	for _, tt := range []struct {
		name    string
		resume  egress.Resume
		begin   egress.Begin
		resumed egress.Resumed
		at      Position
	}{
		{"at a packet", egress.Resume{Token: first.Token, DTS: time.Second, Track: packetbuf.Audio}, egress.AtRecovery, egress.Exact, Position{Origin: Origin{Life: 3, Seq: 7}, DTS: time.Second, Track: packetbuf.Audio, Begin: egress.AtRecovery}},
		{"nowhere", egress.Resume{Token: first.Token, DTS: -1}, egress.AtRecovery, egress.Keyframe, Position{Begin: egress.AtRecovery}},
		{"with chunks", egress.Resume{Token: first.Token, DTS: -1, Chunks: true}, egress.AtKeyframe, egress.Keyframe, Position{Begin: egress.Anywhere}},
	} {
		_, grant, err := a.Join(t.Context(), egress.Request{App: "live", Name: "cam", Resume: &tt.resume, Begin: tt.begin})
		if err != nil || grant.Resumed != tt.resumed || !grant.Known || s.at != tt.at {
			t.Errorf("%s: got %+v at %+v, %v; want %s at %+v", tt.name, grant, s.at, err, tt.resumed, tt.at)
		}
		if h.viewer == "" || h.viewer == first.Token {
			t.Errorf("%s: the hooks are told of %q, want a viewer", tt.name, h.viewer)
		}
	}
	s.life = 4 // another stream of the same name
	if _, _, err := a.Join(t.Context(), egress.Request{App: "live", Name: "cam", Resume: &egress.Resume{Token: first.Token, DTS: -1}}); err == nil {
		t.Error("a resume token admits to the next stream, want a refusal")
	}
}
