package rtmptest

import (
	"sync/atomic"
	"time"

	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
)

// AnswerPings reads all that comes and responds to each ping after what delay returns. The
// counter has the pings so far. After stop no more are answered; it waits two seconds for the
// last response.
func (c *Client) AnswerPings(delay func() time.Duration) (pings *atomic.Int64, stop func()) {
	pings = &atomic.Int64{}
	var stopped atomic.Bool
	go func() {
		for m := range c.Got {
			if stopped.Load() {
				continue
			}
			if value, ok := Ping(m); ok {
				pings.Add(1)
				time.Sleep(delay())
				c.Send(wire.AppendUserControl(nil, wire.EventPingResponse, value))
			}
		}
	}()
	return pings, func() {
		stopped.Store(true)
		time.Sleep(2 * time.Second)
	}
}

// Ping returns the value of a ping request, and whether m is one.
func Ping(m wire.Message) (value uint32, ok bool) { return userControl(m, wire.EventPingRequest) }

// Pong returns the value of a ping response, and whether m is one.
func Pong(m wire.Message) (value uint32, ok bool) { return userControl(m, wire.EventPingResponse) }

func userControl(m wire.Message, want uint16) (uint32, bool) {
	event, value, err := wire.ParseUserControl(m.Payload)
	return value, m.Type == wire.TypeUserControl && err == nil && event == want
}
