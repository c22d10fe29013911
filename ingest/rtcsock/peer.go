package rtcsock

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
)

// Peer is one WebRTC peer that answers.
type Peer struct {
	*webrtc.PeerConnection

	closed sync.Once
	local  bool // the relay is reached at addresses of loopback alone

	mu         sync.Mutex // one negotiation at a time; guards what follows
	candidates int        // of the other side, so far
	restarts   int        // in a row
	restarted  time.Time  // when the last one was
}

// Bounds of a peer's life: each candidate is a place that the relay sends checks to.
const (
	maxAllCandidates = 256
	maxRestarts      = 4 // in a row; one more with each restartEvery
	restartEvery     = time.Second
)

// Errors of a peer that the other side has caused.
var (
	// ErrOffer: the offer cannot be read or answered.
	ErrOffer = errors.New("the offer cannot be answered")
	// ErrCandidate: a candidate cannot be read.
	ErrCandidate = errors.New("malformed candidate")
	// ErrTooMany: there were too many candidates or restarts.
	ErrTooMany = errors.New("too many candidates or restarts")
)

// NewPeer makes a peer with these codecs and interceptors. It must be closed.
func (s *Sockets) NewPeer(media *webrtc.MediaEngine, chain *interceptor.Registry) (*Peer, error) {
	p := &Peer{local: s.local()}
	made := make(chan struct{})
	b := &bounds{end: func() {
		<-made
		s.o.Log.Warn("peer ended: it takes more streams or addresses than a peer may")
		_ = p.Close()
	}}
	pc, err := s.connection(media, chain, b)
	if err != nil {
		return nil, err
	}
	p.PeerConnection = pc
	close(made)
	return p, nil
}

// gathering is how long the addresses of this machine may take to be collected.
const gathering = 2 * time.Second

// Offer takes the other side's offer. Candidates of addresses that no peer elsewhere can have are
// passed over.
func (p *Peer) Offer(offer string) error {
	offer, err := withoutUnreachable(offer, p.local)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrOffer, err)
	}
	err = p.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrOffer, err)
	}
	return nil
}

// Answer answers the offer that was taken, with all candidates.
func (p *Peer) Answer(ctx context.Context) (string, error) {
	answer, err := p.CreateAnswer(nil)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrOffer, err)
	}
	ctx, cancel := context.WithTimeout(ctx, gathering)
	defer cancel()
	gathered := webrtc.GatheringCompletePromise(p.PeerConnection)
	if err := p.SetLocalDescription(answer); err != nil {
		return "", fmt.Errorf("%w: %w", ErrOffer, err)
	}
	select {
	case <-gathered:
	case <-ctx.Done():
	}
	return p.LocalDescription().SDP, nil
}

// Trickle takes candidates of the other side, as they come. Those that are names, as browsers
// make them up for local addresses, are passed over: checks come from there all the same. So are
// those of addresses that no peer elsewhere can have.
func (p *Peer) Trickle(f Fragment) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.trickle(f)
}

// trickle is Trickle with p.mu held.
func (p *Peer) trickle(f Fragment) error {
	if err := readable(f); err != nil {
		return err
	}
	if p.candidates += len(f.Candidates); p.candidates > maxAllCandidates {
		return ErrTooMany
	}
	for i, c := range f.Candidates {
		if named(c) || !reached(c, p.local) {
			continue
		}
		init := webrtc.ICECandidateInit{Candidate: c}
		if f.MIDs[i] != "" {
			init.SDPMid = &f.MIDs[i]
		}
		if f.Ufrag != "" {
			init.UsernameFragment = &f.Ufrag
		}
		if err := p.AddICECandidate(init); err != nil {
			return fmt.Errorf("%w %.80q: %w", ErrCandidate, c, err)
		}
	}
	return nil
}

// readable tells whether all candidates can be read.
func readable(f Fragment) error {
	for _, c := range f.Candidates {
		if named(c) {
			continue
		}
		if _, err := ice.UnmarshalCandidate(strings.TrimPrefix(c, "candidate:")); err != nil {
			return fmt.Errorf("%w %.80q: %w", ErrCandidate, c, err)
		}
	}
	return nil
}

// named tells whether a candidate has a name of mDNS for its address (RFC 8839, 5.1).
func named(candidate string) bool {
	fields := strings.Fields(candidate)
	return len(fields) > 4 && strings.HasSuffix(fields[4], ".local")
}

// RemoteUfrag is the user name fragment of the other side's present ICE session.
func (p *Peer) RemoteUfrag() string {
	d := p.RemoteDescription()
	if d == nil {
		return ""
	}
	f, err := fragmentOf(d.SDP)
	if err != nil {
		return ""
	}
	return f.Ufrag
}

// Restart restarts ICE with the other side's new credentials, and returns our new ones with
// our candidates. Media, keys and codecs stay as they are. After an error the session goes on
// as it was.
func (p *Peer) Restart(ctx context.Context, f Fragment) (Fragment, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	remote := p.RemoteDescription()
	if remote == nil {
		return Fragment{}, fmt.Errorf("%w: there is no session to restart", ErrOffer)
	}
	if err := readable(f); err != nil { // before anything has changed
		return Fragment{}, err
	}
	p.restarts = max(0, p.restarts-int(time.Since(p.restarted)/restartEvery))
	if p.restarts == maxRestarts || p.candidates+len(f.Candidates) > maxAllCandidates {
		return Fragment{}, ErrTooMany
	}
	p.restarts, p.restarted = p.restarts+1, time.Now()
	offer, err := withCredentials(remote.SDP, f)
	if err != nil {
		return Fragment{}, err
	}
	if err := p.Offer(offer); err != nil {
		return Fragment{}, err
	}
	answer, err := p.Answer(ctx)
	if err != nil {
		return Fragment{}, err
	}
	if err := p.trickle(f); err != nil {
		return Fragment{}, err
	}
	out, err := fragmentOf(answer)
	if err != nil {
		return Fragment{}, fmt.Errorf("own answer: %w", err)
	}
	out.End = true
	return out, nil
}

// withCredentials is a description with other ICE credentials and without candidates.
func withCredentials(description string, f Fragment) (string, error) {
	var d sdp.SessionDescription
	if err := d.UnmarshalString(description); err != nil {
		return "", fmt.Errorf("own copy of the offer: %w", err)
	}
	d.Attributes = renewed(d.Attributes, f)
	for _, m := range d.MediaDescriptions {
		m.Attributes = renewed(m.Attributes, f)
	}
	text, err := d.Marshal()
	if err != nil {
		return "", fmt.Errorf("own copy of the offer: %w", err)
	}
	return string(text), nil
}

func renewed(attributes []sdp.Attribute, f Fragment) []sdp.Attribute {
	var out []sdp.Attribute
	for _, a := range attributes {
		switch a.Key {
		case "candidate", "end-of-candidates":
			continue
		case "ice-ufrag":
			a.Value = f.Ufrag
		case "ice-pwd":
			a.Value = f.Pwd
		}
		out = append(out, a)
	}
	return out
}

// Close ends the peer. It waits for what the peer has started, but not for the callbacks.
func (p *Peer) Close() error {
	var err error
	p.closed.Do(func() { err = p.PeerConnection.Close() })
	return err
}

// RoundTrip is the last round-trip time that a connectivity check has measured; 0 while there
// is none, and always with ICE-lite, which makes no checks.
func (p *Peer) RoundTrip() time.Duration {
	// Everything has one transport, and this way to it is there whatever is sent.
	stats, ok := p.SCTP().Transport().ICETransport().GetSelectedCandidatePairStats()
	if !ok {
		return 0
	}
	return time.Duration(stats.CurrentRoundTripTime * float64(time.Second))
}
