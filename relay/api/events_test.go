package api

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-live/holdfast/relay/sse"
	"github.com/holdfast-live/holdfast/testmedia/faultnet"
)

// subscriber reads server-sent events.
type subscriber struct {
	t     *testing.T
	conn  net.Conn
	lines *bufio.Reader
}

// serveEvents serves events in memory until the test ends.
func serveEvents(t *testing.T, e *Events) *faultnet.Network {
	t.Helper()
	network := faultnet.NewNetwork(nil)
	l, err := network.Listen("relay")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: e, ReadHeaderTimeout: time.Minute}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) })
	t.Cleanup(func() {
		e.Close()
		_ = server.Close()
		serving.Wait()
	})
	return network
}

// subscribeTo subscribes with a Last-Event-ID, or without if it is empty.
func subscribeTo(t *testing.T, network *faultnet.Network, last string) *subscriber {
	t.Helper()
	c, err := network.DialContext(t.Context(), "", "relay")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	request := "GET / HTTP/1.1\r\nHost: relay\r\n"
	if last != "" {
		request += "Last-Event-ID: " + last + "\r\n"
	}
	if _, err := io.WriteString(c, request+"\r\n"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil) //nolint:bodyclose // it has no end to read up to; the connection is closed
	if err != nil || resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatal(resp, err)
	}
	s := &subscriber{t: t, conn: c, lines: bufio.NewReader(resp.Body)}
	if got := s.block(); got != ": holdfast events\n" {
		t.Fatalf("it begins with %q", got)
	}
	return s
}

// block reads up to an empty line. It returns "" at the end.
func (s *subscriber) block() string {
	var b strings.Builder
	for {
		line, err := s.lines.ReadString('\n')
		if err != nil || line == "\n" {
			return b.String()
		}
		b.WriteString(line)
	}
}

// event reads the next event; its ID is 0 at the end of the subscription.
func (s *subscriber) event() (e Event) {
	s.t.Helper()
	text := s.block()
	if text == "" {
		return Event{}
	}
	_, data, _ := strings.Cut(text, "\ndata: ")
	if err := json.Unmarshal([]byte(data), &e); err != nil {
		s.t.Fatalf("%v: got %q", err, text)
	}
	if want := fmt.Sprintf("id: %d\nevent: %s\n", e.ID, e.Type); !strings.HasPrefix(text, want) {
		s.t.Errorf("%q does not begin with %q", text, want)
	}
	return e
}

func publishN(e *Events, n int) {
	for range n {
		e.Publish(Event{Time: time.Now(), Type: "publish", Stream: "live/cam", Fields: map[string]any{"detail": "two\nlines"}})
	}
}

// A subscriber receives events from now on, comments while there are none, and the end when the
// relay stops.
func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := NewEvents()
		network := serveEvents(t, e)
		publishN(e, 3)
		s := subscribeTo(t, network, "")
		publishN(e, 2)
		for want := uint64(4); want <= 5; want++ {
			if got := s.event(); got.ID != want || got.Type != "publish" || got.Stream != "live/cam" || got.Fields["detail"] != "two\nlines" {
				t.Errorf("got %+v, want %d", got, want)
			}
		}
		began := time.Now()
		if got := s.block(); got != ": still here\n" || time.Since(began) != sse.Idle {
			t.Errorf("got %q after %v", got, time.Since(began))
		}
		e.Close()
		if got := s.event(); got.ID != 0 {
			t.Errorf("after the end: got %+v", got)
		}
		e.Publish(Event{Type: "end"}) // no subscriber
	})
}

// A subscriber that reconnects receives the events that it missed, as far as they are kept.
func TestReplay(t *testing.T) {
	for _, tt := range []struct {
		happened int
		last     string
		first    uint64 // 0: none
	}{
		{0, "", 0},
		{10, "", 0},
		{10, "10", 0},
		{10, "7", 8},
		{10, "0", 1},
		{10, "4000", 1}, // of an earlier run
		{keptEvents, "0", 1},
		{keptEvents + 10, "0", 11},
		{keptEvents + 10, "10", 11},
		{keptEvents + 10, "11", 12},
		{3*keptEvents + 5, "3", 2*keptEvents + 6},
		{10, "noise", 0},
		{10, "-1", 0},
	} {
		t.Run(fmt.Sprintf("%s of %d", tt.last, tt.happened), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := NewEvents()
				network := serveEvents(t, e)
				publishN(e, tt.happened)
				s := subscribeTo(t, network, tt.last)
				publishN(e, 1)
				next := uint64(tt.happened) + 1
				if tt.first == 0 {
					tt.first = next
				}
				for id := tt.first; id <= next; id++ {
					if got := s.event(); got.ID != id {
						t.Fatalf("got %d, want %d", got.ID, id)
					}
				}
			})
		})
	}
}

// A subscriber that reads too slowly is disconnected, blocks no other, and receives the rest
// when it reconnects.
func TestSlowSubscriber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := NewEvents()
		network := serveEvents(t, e)
		s := subscribeTo(t, network, "")
		network.Do(faultnet.Hang, faultnet.Down)
		const n = 200
		for range n {
			// Large enough that a few fill the buffers of the connection.
			e.Publish(Event{Type: "publish", Fields: map[string]any{"detail": strings.Repeat("x", 16<<10)}})
		}
		synctest.Wait()
		e.mu.Lock()
		left := len(e.subs)
		e.mu.Unlock()
		if left != 0 {
			t.Error("slow subscriber was not disconnected")
		}
		network.Do(faultnet.Thaw, faultnet.Down)
		last := uint64(0)
		for got := s.event(); got.ID != 0; got = s.event() {
			if got.ID != last+1 {
				t.Fatalf("got %d after %d", got.ID, last)
			}
			last = got.ID
		}
		if last < subscriberBuffer || last == n {
			t.Errorf("cut off after %d", last)
		}
		s = subscribeTo(t, network, fmt.Sprint(last))
		for last++; last <= n; last++ {
			if got := s.event(); got.ID != last {
				t.Fatalf("got %d, want %d", got.ID, last)
			}
		}
	})
}

// A subscriber that does not read is disconnected.
func TestDeadSubscriber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := NewEvents()
		network := serveEvents(t, e)
		subscribeTo(t, network, "")
		network.Do(faultnet.Hang, faultnet.Both)
		for range 20 {
			e.Publish(Event{Type: "publish", Fields: map[string]any{"detail": strings.Repeat("x", 32<<10)}})
		}
		time.Sleep(2*sse.Idle + time.Second)
		e.mu.Lock()
		defer e.mu.Unlock()
		if len(e.subs) != 0 {
			t.Error("dead subscriber is still subscribed")
		}
	})
}
