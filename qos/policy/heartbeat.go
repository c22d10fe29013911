package policy

import "time"

// Bounds of the time between two heartbeats, unless it is fixed.
const (
	HeartbeatLeast = 2 * time.Second
	HeartbeatMost  = 30 * time.Second
	heartbeatFirst = 5 * time.Second
)

const (
	// heartbeatGrowth is by how much a good answer lengthens the time to the next.
	heartbeatGrowth = 1.25
	// heartbeatTrouble is the share of heartbeats, late or lost, at which the line is as bad as
	// can be; it is taken over about heartbeatMemory of them.
	heartbeatTrouble = 0.2
	heartbeatMemory  = 8
	// steadyVariance is below what the round trip's deviation says nothing of the line.
	steadyVariance = 10 * time.Millisecond
	// An answer is late that takes half as long again as the least round trip of late, and
	// lateSlack; what is least is forgotten over leastMemory answers.
	lateSlack   = 50 * time.Millisecond
	leastMemory = 64
	// answerSlack is what an answer is given beyond the round trip and its spread: a peer may
	// be busy.
	answerSlack = time.Second
	// firmly is how many in a row go without an answer before answers are waited for longer, each
	// time twice as long, mostDoublings times: one that is only late is heard in the end.
	firmly        = 3
	mostDoublings = 4
)

// Heartbeat decides how often a peer is asked for a sign of life: seldom on a line that has long
// been good, often on one that loses or delays, since there a break is likelier and is to be
// noticed. Its zero value begins at five seconds and goes from two to thirty.
type Heartbeat struct {
	Fixed time.Duration // by configuration; 0: by the line
	Most  time.Duration // the longest; 0: HeartbeatMost

	srtt, rttvar time.Duration
	least        time.Duration // round trip, of late: what there is without loss and queues
	trouble      float64       // share of late or lost ones lately, 0 to 1
	every        time.Duration // 0: nothing has been answered or missed yet
	missed       int           // in a row
}

// Every is the time from one heartbeat to the next.
func (h *Heartbeat) Every() time.Duration {
	switch {
	case h.Fixed > 0:
		return h.Fixed
	case h.every == 0:
		return min(heartbeatFirst, h.most())
	}
	return h.every
}

// Wait is how long after a heartbeat its answer counts as missed. Where the time is fixed, it is
// that.
func (h *Heartbeat) Wait() time.Duration {
	if h.Fixed > 0 {
		return h.Fixed
	}
	wait := max(HeartbeatLeast, h.srtt+4*h.rttvar+answerSlack)
	return min(wait<<min(max(0, h.missed+1-firmly), mostDoublings), h.most())
}

// RTT is the smoothed round trip and its mean deviation (RFC 6298); 0, 0 while unknown.
func (h *Heartbeat) RTT() (srtt, rttvar time.Duration) { return h.srtt, h.rttvar }

// Answered notes an answer.
func (h *Heartbeat) Answered(rtt time.Duration) {
	// Against the smoothed round trip nothing would be late on a line that is late often.
	late := h.srtt > 0 && rtt > h.least*3/2+lateSlack
	h.missed = 0
	if h.least += (rtt - h.least) / leastMemory; rtt < h.least || h.srtt == 0 {
		h.least = rtt
	}
	if h.srtt == 0 {
		h.srtt, h.rttvar = rtt, rtt/2
	} else {
		h.rttvar += ((h.srtt - rtt).Abs() - h.rttvar) / 4
		h.srtt += (rtt - h.srtt) / 8
	}
	h.note(late)
	h.every = min(h.target(), time.Duration(heartbeatGrowth*float64(h.Every())))
	h.every = max(h.every, h.shortest())
}

// Missed notes that no answer came in time: from here on the peer is asked as often as can be.
func (h *Heartbeat) Missed() {
	h.missed++
	h.note(true)
	h.every = h.shortest()
}

func (h *Heartbeat) note(trouble bool) {
	was := 0.0
	if trouble {
		was = 1
	}
	h.trouble += (was - h.trouble) / heartbeatMemory
}

// target is where the time between two heartbeats goes as the line is now.
func (h *Heartbeat) target() time.Duration {
	bad := h.trouble / heartbeatTrouble
	if h.rttvar > steadyVariance {
		bad += max(0, float64(h.rttvar)/float64(h.srtt)-0.5)
	}
	return h.most() - time.Duration(min(bad, 1)*float64(h.most()-h.shortest()))
}

// shortest keeps several round trips between two heartbeats.
func (h *Heartbeat) shortest() time.Duration {
	return min(max(HeartbeatLeast, 4*h.srtt), h.most())
}

func (h *Heartbeat) most() time.Duration {
	if h.Most > 0 {
		return h.Most
	}
	return HeartbeatMost
}
