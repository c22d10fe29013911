package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/ingest/rtmpconn"
	"github.com/holdfast-live/holdfast/qos"
	"github.com/holdfast-live/holdfast/testmedia/faultnet"
)

// book resolves far to addresses 10.0.0.1 to 10.0.0.n, and to one of IPv6 last.
func book(n int) ResolveFunc {
	return func(_ context.Context, host string) ([]netip.Addr, error) {
		if host != "far" {
			return nil, fmt.Errorf("who is %s", host)
		}
		var out []netip.Addr
		for i := range n - 1 {
			out = append(out, netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}))
		}
		return append(out, netip.MustParseAddr("2001:db8::1")), nil
	}
}

// TestAddresses has three addresses of which some are dead, each in its own way: the next one
// is tried, whichever is the first.
func TestAddresses(t *testing.T) {
	tests := []struct {
		name  string
		first int
		want  []string // what is dialled
	}{
		{"in order", 0, []string{"10.0.0.1:1935", "10.0.0.2:1935", "[2001:db8::1]:1935"}},
		{"rotated", 2, []string{"[2001:db8::1]:1935"}},
		{"far rotated", 4, []string{"10.0.0.2:1935", "[2001:db8::1]:1935"}},
		{"below zero", -1, []string{"[2001:db8::1]:1935"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := faultnet.NewNetwork(nil)
				l, err := n.Listen("[2001:db8::1]:1935")
				if err != nil {
					t.Fatal(err)
				}
				a := &admission{ended: make(chan ingest.Cause, 1)}
				serve(t, a, l)
				mute, err := n.Listen("10.0.0.2:1935") // takes connections and says nothing
				if err != nil {
					t.Fatal(err)
				}
				defer mute.Close()
				var dialled []string
				p, err := Dial(t.Context(), Options{
					URL: "rtmp://far/live/cam", Resolve: book(3), First: tt.first,
					Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
						dialled = append(dialled, addr)
						return n.DialContext(ctx, network, addr)
					},
				})
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(dialled, tt.want) {
					t.Errorf("dialled %q", dialled)
				}
				var want time.Duration // of the handshake that nobody answers
				if slices.Contains(dialled, "10.0.0.2:1935") {
					want = 5 * time.Second
				}
				if got := p.Timing()[qos.PhaseHandshake]; got != want {
					t.Errorf("the handshakes took %v", got)
				}
				_ = p.Close()
				<-a.ended
			})
		})
	}
}

// TestAddressesAllDead says how many were tried, and gives each its time.
func TestAddressesAllDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := faultnet.NewNetwork(nil)
		n.SetDark(true)
		begun := time.Now()
		_, err := Dial(t.Context(), Options{
			URL: "rtmp://far/live/cam", Resolve: book(3), Dialer: n.DialContext, Timeouts: Timeouts{TCP: 2 * time.Second},
		})
		var at *PhaseError
		if !errors.As(err, &at) || at.Phase != qos.PhaseTCP || at.Tried != 3 || at.Timing[qos.PhaseTCP] != 6*time.Second || time.Since(begun) != 6*time.Second {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		if want := "push to rtmp://far/live: tcp: no answer within 2s: context deadline exceeded (the last of 3 addresses tried)"; err.Error() != want {
			t.Errorf("%q", err)
		}
	})
}

// TestAddressesInTheDark has a host with many addresses that nothing answers at, of which one
// lives: its turn comes soon. Where none does, the dial comes to its end all the same.
func TestAddressesInTheDark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := faultnet.NewNetwork(nil)
		l, err := n.Listen("10.0.0.2:1935")
		if err != nil {
			t.Fatal(err)
		}
		a := &admission{ended: make(chan ingest.Cause, 1)}
		serve(t, a, l)
		o := Options{URL: "rtmp://far/live/cam", Resolve: book(100), Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if addr != "10.0.0.2:1935" {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return n.DialContext(ctx, network, addr)
		}}
		begun := time.Now()
		p, err := Dial(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took != shortTimeout {
			t.Errorf("the second address had its turn after %v", took)
		}
		_ = p.Close()
		<-a.ended
		begun, o.First = time.Now(), 50
		_, err = Dial(t.Context(), o)
		var at *PhaseError
		if took := time.Since(begun); !errors.As(err, &at) || at.Tried != maxTried || took != (maxTried-1)*shortTimeout+5*time.Second {
			t.Errorf("%v after %v", err, took)
		}
	})
}

// TestAddressesRejected does not ask another address after a no in words.
func TestAddressesRejected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := faultnet.NewNetwork(nil)
		l, err := n.Listen("10.0.0.1:1935")
		if err != nil {
			t.Fatal(err)
		}
		serve(t, &admission{refuse: &ingest.Refusal{Outcome: ingest.RefusedKey, Reason: "no"}}, l)
		_, err = Dial(t.Context(), Options{URL: "rtmp://far/live/cam", Resolve: book(3), Dialer: n.DialContext})
		var at *PhaseError
		if !errors.As(err, &at) || at.Tried != 1 || Classify(err) != qos.DialDenied || at.Phase != qos.PhasePublish {
			t.Error(err)
		}
	})
}

func TestResolving(t *testing.T) {
	tests := []struct {
		name    string
		resolve ResolveFunc
		outcome qos.Outcome
		took    time.Duration
	}{
		{"it hangs", func(ctx context.Context, _ string) ([]netip.Addr, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}, qos.DialTimeout, 5 * time.Second},
		{"no such name", func(context.Context, string) ([]netip.Addr, error) {
			return nil, &net.DNSError{Err: "no such host", Name: "far", IsNotFound: true}
		}, qos.DialFailed, 0},
		{"no addresses", func(context.Context, string) ([]netip.Addr, error) { return nil, nil }, qos.DialFailed, 0},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			_, err := Dial(t.Context(), Options{URL: "rtmp://far/live/cam", Resolve: tt.resolve})
			a := Attempt(time.Now(), false, nil, err)
			if a.Phase != qos.PhaseDNS || a.Outcome != tt.outcome || a.Total() != tt.took || len(a.Took) != 1 || !strings.Contains(a.Detail, "push to rtmp://far/live: dns: ") {
				t.Errorf("%s: %+v", tt.name, a)
			}
		})
	}
	// An address needs no resolver.
	_, err := Probe(t.Context(), Options{
		URL:     "rtmp://[::1]:9/live/cam",
		Resolve: func(context.Context, string) ([]netip.Addr, error) { t.Error("asked"); return nil, nil },
		Dialer:  func(context.Context, string, string) (net.Conn, error) { return nil, syscall.ECONNREFUSED },
	})
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Error(err)
	}
}

func TestClassify(t *testing.T) {
	wrap := func(err error) error { return &PhaseError{Op: opPush, Phase: qos.PhaseTCP, Err: err} }
	tests := []struct {
		err     error
		outcome qos.Outcome
		ending  Ending
	}{
		{wrap(syscall.ECONNREFUSED), qos.DialFailed, EndedReset},
		{wrap(&net.OpError{Op: "read", Err: syscall.ECONNRESET}), qos.DialFailed, EndedReset},
		{wrap(io.EOF), qos.DialFailed, EndedEOF},
		{wrap(fmt.Errorf("read FLV tag: %w", io.ErrUnexpectedEOF)), qos.DialFailed, EndedEOF},
		{wrap(context.DeadlineExceeded), qos.DialTimeout, EndedTimeout},
		{wrap(&net.OpError{Op: "read", Err: syscall.ETIMEDOUT}), qos.DialTimeout, EndedTimeout},
		{wrap(&Rejection{Code: "NetStream.Publish.BadName"}), qos.DialRejected, EndedRejected},
		{wrap(&Rejection{Early: true, Err: io.EOF}), qos.DialRejected, EndedRejected},
		{wrap(&Rejection{Code: "HTTP 403"}), qos.DialDenied, EndedRejected},
		{wrap(ErrUnpublished), qos.DialRejected, EndedUnpublish},
		{wrap(rtmpconn.ErrNotRTMP), qos.DialFailed, EndedProtocol},
		{ErrClosed, qos.DialFailed, EndedClosed},
		{fmt.Errorf("%w: it has no host", ErrURL), qos.DialDenied, EndedReset},
	}
	for _, tt := range tests {
		if outcome, ending := Classify(tt.err), EndingOf(tt.err); outcome != tt.outcome || ending != tt.ending {
			t.Errorf("%v: %s, %s", tt.err, outcome, ending)
		}
	}
	a := Attempt(time.Unix(1, 0), true, Timing{qos.PhaseTCP: time.Second}, nil)
	if a.Outcome != qos.DialOK || a.Phase != qos.PhaseRunning || a.Total() != time.Second || !a.Probe || a.Detail != "" {
		t.Errorf("%+v", a)
	}
	if a = Attempt(time.Unix(1, 0), false, nil, ErrURL); a.Outcome != qos.DialDenied || a.Phase != qos.PhaseDNS {
		t.Errorf("%+v", a)
	}
}
