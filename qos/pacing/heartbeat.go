package pacing

import "time"

// Bounds of the heartbeat interval if it is adaptive.
const (
	HeartbeatLeast = 2 * time.Second
	HeartbeatMost  = 30 * time.Second
	heartbeatFirst = 5 * time.Second
)

const (
	// heartbeatGrowth is the largest factor by which an answer lengthens the interval.
	heartbeatGrowth = 1.25
	// heartbeatTrouble is the share of late or lost heartbeats from which on the interval is the shortest.
	// The share is averaged over about heartbeatMemory heartbeats.
	heartbeatTrouble = 0.2
	heartbeatMemory  = 8
	// steadyVariance is the largest mean deviation of the round trip that does not shorten the interval.
	steadyVariance = 10 * time.Millisecond
	// An answer is late if it takes longer than 1.5 times the recent minimum round trip plus lateAllowance.
	// The minimum follows an increase within about minRTTMemory answers.
	lateAllowance = 50 * time.Millisecond
	minRTTMemory  = 64
	// answerAllowance is added to the round trip and its deviation to give the wait for an answer, since a
	// peer may be busy.
	answerAllowance = time.Second
	// backoffAfterMisses is the number of consecutive missed answers from which on each further one doubles
	// the wait, up to maxWaitDoublings times, so that a late answer is received eventually.
	backoffAfterMisses = 3
	maxWaitDoublings   = 4
)

// Heartbeat decides how often to send a heartbeat to a peer. The interval is long on a connection that has
// been good for long. It is short on one with loss or varying delay, since a break is more likely there and
// should be noticed soon. The zero value begins with an interval of five seconds and varies it from two to
// thirty.
type Heartbeat struct {
	Fixed time.Duration // configured interval; 0 means adaptive
	Most  time.Duration // longest interval; 0 means HeartbeatMost

	srtt, rttvar time.Duration
	minRTT       time.Duration // recent minimum round trip, which excludes loss and queueing
	trouble      float64       // recent share of late or lost heartbeats, 0 to 1
	interval     time.Duration // 0 before the first answer or miss
	missed       int           // number of consecutive missed answers
}

// Every returns the current interval between heartbeats.
func (h *Heartbeat) Every() time.Duration {
	switch {
	case h.Fixed > 0:
		return h.Fixed
	case h.interval == 0:
		return min(heartbeatFirst, h.longest())
	}
	return h.interval
}

// Wait returns how long to wait for the answer to a heartbeat before it counts as missed. If the interval
// is fixed, Wait returns the interval.
func (h *Heartbeat) Wait() time.Duration {
	if h.Fixed > 0 {
		return h.Fixed
	}
	wait := max(HeartbeatLeast, h.srtt+4*h.rttvar+answerAllowance)
	return min(wait<<min(max(0, h.missed+1-backoffAfterMisses), maxWaitDoublings), h.longest())
}

// RTT returns the smoothed round trip and its mean deviation (RFC 6298); 0, 0 if unknown.
func (h *Heartbeat) RTT() (srtt, rttvar time.Duration) { return h.srtt, h.rttvar }

// Answered records an answer that arrived after the round trip time rtt.
func (h *Heartbeat) Answered(rtt time.Duration) {
	// Late answers raise the smoothed round trip, so lateness is measured against the minimum.
	late := h.srtt > 0 && rtt > h.minRTT*3/2+lateAllowance
	h.missed = 0
	if h.minRTT += (rtt - h.minRTT) / minRTTMemory; rtt < h.minRTT || h.srtt == 0 {
		h.minRTT = rtt
	}
	if h.srtt == 0 {
		h.srtt, h.rttvar = rtt, rtt/2
	} else {
		h.rttvar += ((h.srtt - rtt).Abs() - h.rttvar) / 4
		h.srtt += (rtt - h.srtt) / 8
	}
	h.recordTrouble(late)
	h.interval = min(h.targetInterval(), time.Duration(heartbeatGrowth*float64(h.Every())))
	h.interval = max(h.interval, h.shortest())
}

// Missed records that no answer arrived within Wait. It sets the interval to the shortest.
func (h *Heartbeat) Missed() {
	h.missed++
	h.recordTrouble(true)
	h.interval = h.shortest()
}

func (h *Heartbeat) recordTrouble(trouble bool) {
	was := 0.0
	if trouble {
		was = 1
	}
	h.trouble += (was - h.trouble) / heartbeatMemory
}

// targetInterval returns the interval that suits the current state of the connection.
func (h *Heartbeat) targetInterval() time.Duration {
	bad := h.trouble / heartbeatTrouble
	if h.rttvar > steadyVariance {
		bad += max(0, float64(h.rttvar)/float64(h.srtt)-0.5)
	}
	return h.longest() - time.Duration(min(bad, 1)*float64(h.longest()-h.shortest()))
}

// shortest returns the shortest interval. It is longer than HeartbeatLeast if four round trips are.
func (h *Heartbeat) shortest() time.Duration {
	return min(max(HeartbeatLeast, 4*h.srtt), h.longest())
}

func (h *Heartbeat) longest() time.Duration {
	if h.Most > 0 {
		return h.Most
	}
	return HeartbeatMost
}
