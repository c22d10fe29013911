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

// Peer is a WebRTC peer connection that answers an offer.
type Peer struct {
	*webrtc.PeerConnection

	closed       sync.Once
	loopbackOnly bool // the relay has loopback addresses only

	mu             sync.Mutex // serialises negotiations; guards the fields below
	candidateCount int        // received so far
	restarts       int        // recent ICE restarts
	lastRestart    time.Time  // time of the last restart
}

// Limits of a peer. The relay sends checks to the address of each candidate.
const (
	maxAllCandidates = 256
	maxRestarts      = 4 // at once; one more after each restartEvery
	restartEvery     = time.Second
)

// Errors that the remote peer causes.
var (
	// ErrOffer means that the offer cannot be parsed or answered.
	ErrOffer = errors.New("the offer cannot be answered")
	// ErrCandidate means that a candidate cannot be parsed.
	ErrCandidate = errors.New("malformed candidate")
	// ErrTooMany means that there were too many candidates or restarts.
	ErrTooMany = errors.New("too many candidates or restarts")
)

// NewPeer returns a peer with the given codecs and interceptors. The caller must close it.
func (s *Sockets) NewPeer(media *webrtc.MediaEngine, chain *interceptor.Registry) (*Peer, error) {
	p := &Peer{loopbackOnly: s.loopbackOnly()}
	made := make(chan struct{})
	b := &bounds{closePeer: func() {
		<-made
		s.options.Log.Warn("peer closed: too many streams or addresses")
		_ = p.Close()
	}}
	pc, err := s.newConnection(media, chain, b)
	if err != nil {
		return nil, err
	}
	p.PeerConnection = pc
	close(made)
	return p, nil
}

// gatherTimeout is how long collecting the machine's addresses may take.
const gatherTimeout = 2 * time.Second

// Offer sets the remote peer's offer. It ignores candidates with addresses that a remote peer
// cannot have; see isAllowedTarget.
func (p *Peer) Offer(offer string) error {
	offer, err := withoutDisallowedCandidates(offer, p.loopbackOnly)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrOffer, err)
	}
	err = p.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrOffer, err)
	}
	return nil
}

// Answer returns the answer to the offer, with all candidates.
func (p *Peer) Answer(ctx context.Context) (string, error) {
	answer, err := p.CreateAnswer(nil)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrOffer, err)
	}
	ctx, cancel := context.WithTimeout(ctx, gatherTimeout)
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

// Trickle adds candidates of the remote peer. It ignores candidates with mDNS names, behind which
// browsers hide local addresses; the browser's own checks arrive from these addresses nevertheless.
// It also ignores candidates with addresses that a remote peer cannot have; see isAllowedTarget.
func (p *Peer) Trickle(f Fragment) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.trickle(f)
}

// trickle is Trickle; p.mu must be held.
func (p *Peer) trickle(f Fragment) error {
	if err := checkCandidates(f); err != nil {
		return err
	}
	if p.candidateCount += len(f.Candidates); p.candidateCount > maxAllCandidates {
		return ErrTooMany
	}
	for i, c := range f.Candidates {
		if isMDNS(c) || !isAllowedTarget(c, p.loopbackOnly) {
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

// checkCandidates returns an error if a candidate cannot be parsed.
func checkCandidates(f Fragment) error {
	for _, c := range f.Candidates {
		if isMDNS(c) {
			continue
		}
		if _, err := ice.UnmarshalCandidate(strings.TrimPrefix(c, "candidate:")); err != nil {
			return fmt.Errorf("%w %.80q: %w", ErrCandidate, c, err)
		}
	}
	return nil
}

// isMDNS reports whether a candidate's address is an mDNS name (RFC 8839, 5.1).
func isMDNS(candidate string) bool {
	fields := strings.Fields(candidate)
	return len(fields) > 4 && strings.HasSuffix(fields[4], ".local")
}

// RemoteUfrag returns the user name fragment of the remote peer's current ICE session.
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

// Restart restarts ICE with the remote peer's new credentials, and returns the relay's new credentials
// and candidates. Media, keys and codecs do not change. After an error the session continues
// unchanged.
func (p *Peer) Restart(ctx context.Context, f Fragment) (Fragment, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	remote := p.RemoteDescription()
	if remote == nil {
		return Fragment{}, fmt.Errorf("%w: no session to restart", ErrOffer)
	}
	if err := checkCandidates(f); err != nil { // before anything changes
		return Fragment{}, err
	}
	p.restarts = max(0, p.restarts-int(time.Since(p.lastRestart)/restartEvery))
	if p.restarts == maxRestarts || p.candidateCount+len(f.Candidates) > maxAllCandidates {
		return Fragment{}, ErrTooMany
	}
	p.restarts, p.lastRestart = p.restarts+1, time.Now()
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
		return Fragment{}, fmt.Errorf("parse own answer: %w", err)
	}
	out.End = true
	return out, nil
}

// withCredentials returns a description with the ICE credentials of f and without candidates.
func withCredentials(description string, f Fragment) (string, error) {
	var d sdp.SessionDescription
	if err := d.UnmarshalString(description); err != nil {
		return "", fmt.Errorf("parse copy of the offer: %w", err)
	}
	d.Attributes = replaceCredentials(d.Attributes, f)
	for _, m := range d.MediaDescriptions {
		m.Attributes = replaceCredentials(m.Attributes, f)
	}
	text, err := d.Marshal()
	if err != nil {
		return "", fmt.Errorf("write copy of the offer: %w", err)
	}
	return string(text), nil
}

func replaceCredentials(attributes []sdp.Attribute, f Fragment) []sdp.Attribute {
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

// Close closes the peer. It waits for the peer's goroutines, but not for callbacks.
func (p *Peer) Close() error {
	var err error
	p.closed.Do(func() { err = p.PeerConnection.Close() })
	return err
}

// RoundTrip returns the round-trip time measured by the last connectivity check, or 0 if none has
// been made. With ICE-lite it always returns 0, because ICE-lite makes no checks.
func (p *Peer) RoundTrip() time.Duration {
	// All media share one transport, which is accessible through SCTP whether or not it is used.
	stats, ok := p.SCTP().Transport().ICETransport().GetSelectedCandidatePairStats()
	if !ok {
		return 0
	}
	return time.Duration(stats.CurrentRoundTripTime * float64(time.Second))
}
