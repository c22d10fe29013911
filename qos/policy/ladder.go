package policy

import (
	"fmt"
	"time"
)

// Line is a measurement of a route's connection at one moment; see qos.Sample.
type Line struct {
	Lag time.Duration // how far the destination is behind the live edge
	// Rate is the recently delivered rate in bits per second. Limited is true if the connection always had
	// more to send, so that Rate is its capacity.
	Rate    float64
	Limited bool
}

// Constants of a ladder. Viewers of the destination experience the lag: players buffer a second of it, but
// not two.
const (
	lagFine        = 350 * time.Millisecond // a lag up to this is ignored: a large keyframe causes as much
	lagRisingLimit = 700 * time.Millisecond // from this on a rising lag causes a step down
	lagLimit       = time.Second            // from this on any lag causes a step down
	lagSkipLimit   = 1800 * time.Millisecond
	maxKeyframeLag = 500 * time.Millisecond // see keyframeLag
	minRising      = 3                      // number of consecutive samples after which lag counts as rising
	skipInterval   = time.Second            // shortest interval of skips

	// A step down needs time to catch up. It was not enough if the lag has since grown by lagGrowth, or has
	// not dropped by lagDrop within lagGrace.
	lagGrowth = 400 * time.Millisecond
	lagDrop   = 200 * time.Millisecond
	lagGrace  = 4 * time.Second

	climbAfter    = 3 * time.Second  // how long the lag must be fine before the first step up
	maxClimbAfter = 16 * time.Second // the longest such time, after failed steps up
	climbProven   = 3 * time.Second  // how long a step up must last to count as successful

	// usableCapacity is the part of the capacity that a step may use, since the backlog has to be sent too.
	usableCapacity = 0.85
	// minShare and maxShare bound the part of a GOP that Trim keeps. Less is hardly more than keyframes.
	minShare = 0.15
	maxShare = 0.95
	// capacityMaxAge is how long a measured capacity is used.
	capacityMaxAge  = time.Minute
	initialStartLag = 24 * time.Hour // until the first sample; more than any buffer
	// startLagStalled is how long catching up may make no progress before the ladder reacts to the lag.
	startLagStalled = 5 * time.Second
)

// Choice is a ladder's decision about what to send, and why.
type Choice struct {
	Step  Step
	Share float64 // for Trim: the part of each GOP to keep
	// Skip tells the route to drop the waiting video frames up to the newest keyframe. Audio is sent
	// completely.
	Skip bool
	// Want is the name of a rendition to start or keep running, because the connection could carry it.
	Want    string
	Changed bool // the step has changed
	Reason  Reason
}

// Reason explains a decision of a ladder, a group or a ceiling.
type Reason struct {
	Cause string `json:"cause"` // one of the cause constants, used as a metric label
	Text  string `json:"text"`
}

// The causes of a change of rung: the label values of holdfast_route_level_changes_total.
const (
	CauseLag     = "lag"     // the destination fell behind
	CauseClimb   = "climb"   // the connection seemed to carry more
	CauseFailed  = "failed"  // the connection did not carry the last step up
	CauseHistory = "history" // a new connection begins at the rung that fits its known capacity
	CauseForced  = "forced"  // the operator forced a rung
	CauseOffer   = "offer"   // a rendition appeared, vanished or changed
)

// LevelCauses returns the causes of a change of rung, for metrics whose series are exported from the start
// with value 0.
func LevelCauses() []string {
	return []string{CauseLag, CauseClimb, CauseFailed, CauseHistory, CauseForced, CauseOffer}
}

// Ladder decides how much of a stream one route's connection is sent. When the destination falls behind, it
// steps down quickly to a rung that sends less; when the lag is gone, it steps up slowly. The zero value is
// not usable; see NewLadder.
type Ladder struct {
	places []Place
	step   Step
	share  float64
	forced *Place

	capacity      float64   // bits per second, 0 if unknown
	measured      time.Time // when capacity was measured
	changed       time.Time // when the step last changed
	lagAtChange   time.Duration
	wasFine       bool      // lag has been fine at some time since the step changed
	climbed       time.Time // time of the last step up; zero once it has succeeded or failed
	failures      int       // number of consecutive steps up that failed
	fineSince     time.Time
	skipped       time.Time
	lag           time.Duration // in the last sample
	rising        int           // number of consecutive samples with rising lag
	keyframeLag   time.Duration // lag caused by a keyframe alone
	startLag      time.Duration // part of the lag that dates from the start of the connection
	startLagMoved time.Time     // when startLag last decreased
}

// NewLadder returns a ladder with the given rungs, at its top.
func NewLadder(places []Place) *Ladder { return &Ladder{places: places, share: maxShare} }

// Begin must be called when a connection comes up. It returns the initial choice. capacity is the capacity
// in bits per second that history leads to expect, or 0 if unknown. If it is known, the ladder begins no
// higher than the step that fits it; otherwise at its last step.
//
// The connection starts behind the live edge, at a keyframe or further back if it replays. The first sample
// shows how far behind it is, and that much does not count as lag.
func (l *Ladder) Begin(now time.Time, offers []Offer, capacity float64) Choice {
	l.startLag, l.startLagMoved, l.lag, l.rising, l.wasFine = initialStartLag, now, 0, 0, true
	l.climbed, l.fineSince, l.skipped, l.failures = time.Time{}, now, time.Time{}, 0
	all := steps(l.places, offers)
	at := l.currentStep(all)
	if capacity > 0 && l.forced == nil {
		l.capacity, l.measured = capacity, now
		if fit := l.fittingStep(all, 0, capacity); fit > at {
			return l.moveTo(now, all, fit, Reason{CauseHistory, "history shows a capacity of " + formatRate(capacity)})
		}
	}
	if why, gone := l.stepGone(all[at]); gone {
		return l.moveTo(now, all, at, why)
	}
	return l.choiceAt(all, at)
}

// Elsewhere is like Begin, for a connection over another network path than the last one. The ladder
// discards what it has learned.
func (l *Ladder) Elsewhere(now time.Time, offers []Offer, capacity float64) Choice {
	before := l.step
	if l.forced == nil {
		l.step, l.share, l.capacity, l.measured = Step{}, maxShare, 0, time.Time{}
	}
	c := l.Begin(now, offers, capacity)
	if !c.Changed && (c.Step.Rung != before.Rung || c.Step.Offer != before.Offer) {
		c.Changed, c.Reason = true, Reason{CauseHistory, "new network path without a known limit"}
	}
	return c
}

// Force keeps the ladder at rung p. If p is nil, the ladder decides again.
func (l *Ladder) Force(p *Place) { l.forced = p }

// Forced returns the rung set by Force, or nil.
func (l *Ladder) Forced() *Place { return l.forced }

// Capacity returns the last measured capacity in bits per second, and when it was measured.
func (l *Ladder) Capacity() (float64, time.Time) { return l.capacity, l.measured }

// Step decides what to send, given a measurement of the connection at time now and the streams on offer. It
// should be called several times a second.
func (l *Ladder) Step(now time.Time, line Line, offers []Offer) Choice {
	all := steps(l.places, offers)
	if l.forced == nil && all[0].Rate <= 0 && l.step.Rate > 0 {
		l.recordLine(now, line)
		return Choice{Step: l.step, Share: l.share} // the stream's rates are unknown, as while it is held
	}
	at := l.currentStep(all)
	l.keyframeLag = keyframeLag(all[at].rates)
	l.recordLine(now, line)
	why, gone := l.stepGone(all[at])
	switch {
	case l.forced != nil:
		return l.forcedChoice(now, all, at)
	case gone:
		return l.moveTo(now, all, at, why)
	case l.tooMuch(now, line):
		return l.skipIf(now, l.stepDown(now, all, at))
	case all[at].Rung == Trim && now.Sub(l.fineSince) >= climbAfter && now.Sub(l.changed) >= climbAfter && l.widen(now, all[at].rates):
		return l.choiceAt(all, at)
	case at > 0 && now.Sub(l.fineSince) >= l.patience() && now.Sub(l.changed) >= l.patience():
		return l.stepUp(now, all, at)
	}
	return l.skipIf(now, l.choiceAt(all, at))
}

// keyframeLag returns the additional lag that large keyframes cause on a connection that carries the
// stream. It is the time that a keyframe takes at the stream's rate, minus lagFine, from 0 to
// maxKeyframeLag.
func keyframeLag(r Rates) time.Duration {
	if r.Total() <= 0 {
		return 0
	}
	takes := time.Duration(r.Keyframe / r.Total() * float64(time.Second))
	return min(max(takes-lagFine, 0), maxKeyframeLag)
}

// recordLine records a measurement of the connection.
func (l *Ladder) recordLine(now time.Time, line Line) {
	lag := l.lagSinceStart(now, line.Lag)
	l.rising++
	if lag <= l.lag {
		l.rising = 0
	}
	l.lag = lag
	if line.Limited && line.Rate > 0 {
		l.recordCapacity(now, line.Rate)
	}
	if lag > lagFine+l.keyframeLag {
		l.fineSince = now
		return
	}
	l.wasFine = true
	if !l.climbed.IsZero() && now.Sub(l.climbed) >= climbProven {
		l.climbed, l.failures = time.Time{}, 0
	}
}

// tooMuch reports whether a step down is due because of the lag.
func (l *Ladder) tooMuch(now time.Time, line Line) bool {
	if lag := l.lag - l.keyframeLag; lag < lagLimit && (lag < lagRisingLimit || l.rising < minRising || !line.Limited) {
		return false
	}
	if l.wasFine {
		return true
	}
	return l.lag >= l.lagAtChange+lagGrowth || now.Sub(l.changed) >= lagGrace && l.lag >= l.lagAtChange-lagDrop
}

// lagSinceStart returns the lag without the part that dates from the start of the connection and that the
// connection has not yet caught up.
func (l *Ladder) lagSinceStart(now time.Time, lag time.Duration) time.Duration {
	if lag < l.startLag {
		l.startLag, l.startLagMoved = lag, now
	} else if l.startLag > 0 && now.Sub(l.startLagMoved) >= startLagStalled {
		l.startLag, l.startLagMoved = l.startLag/2, now
	}
	return lag - l.startLag
}

// recordCapacity adds a measured capacity to a mean in which older values decay.
func (l *Ladder) recordCapacity(now time.Time, rate float64) {
	if l.capacity == 0 || now.Sub(l.measured) > capacityMaxAge {
		l.capacity = rate
	}
	const weight = 0.3
	l.capacity += weight * (rate - l.capacity)
	l.measured = now
}

// recentCapacity returns the capacity if it was measured within capacityMaxAge, otherwise 0.
func (l *Ladder) recentCapacity(now time.Time) float64 {
	if now.Sub(l.measured) > capacityMaxAge {
		return 0
	}
	return l.capacity
}

// patience returns how long the lag must be fine before the next step up.
func (l *Ladder) patience() time.Duration {
	return min(climbAfter<<min(l.failures, 8), maxClimbAfter)
}

func (l *Ladder) stepDown(now time.Time, all []Step, at int) Choice {
	reason := Reason{CauseLag, fmt.Sprintf("the destination is %.1f s behind", l.lag.Seconds())}
	if !l.climbed.IsZero() {
		l.failures++
		reason = Reason{CauseFailed, fmt.Sprintf("the step up failed: the destination is %.1f s behind", l.lag.Seconds())}
	}
	from := min(at+1, len(all)-1)
	if all[at].Rung == Trim && l.share > minShare {
		from = at // try a smaller share first
	}
	to := from
	if c := l.recentCapacity(now); c > 0 {
		to = l.fittingStep(all, from, c)
		reason.Text += ", the connection carries " + formatRate(c)
	}
	for !all[to].ready && to < len(all)-1 {
		to++
	}
	if !all[to].ready {
		return l.choiceAt(all, at)
	}
	return l.moveTo(now, all, to, reason)
}

// skipIf sets Skip in the choice if the destination is so far behind that it would take too long to catch
// up after a step down.
func (l *Ladder) skipIf(now time.Time, c Choice) Choice {
	if l.lag >= lagSkipLimit+l.keyframeLag && now.Sub(l.skipped) >= skipInterval {
		l.skipped, c.Skip = now, true
	}
	return c
}

// stepUp moves to the next ready step above, or to a higher one if the measured capacity allows it.
func (l *Ladder) stepUp(now time.Time, all []Step, at int) Choice {
	to := at - 1
	for to > 0 && !all[to].ready {
		to--
	}
	if !all[to].ready {
		return l.choiceAt(all, at)
	}
	if c := l.recentCapacity(now); c > 0 {
		for i := range to {
			if all[i].ready && all[i].Rate <= usableCapacity*c {
				to = i
				break
			}
		}
	}
	c := l.moveTo(now, all, to, Reason{CauseClimb, fmt.Sprintf("no backlog for %.0f s", l.patience().Seconds())})
	l.climbed, l.wasFine = now, true
	return c
}

func (l *Ladder) moveTo(now time.Time, all []Step, to int, why Reason) Choice {
	changed := all[to].Rung != l.step.Rung || all[to].Offer != l.step.Offer
	share := maxShare
	if all[to].Rung == Trim {
		share = l.trimShare(now, all[to].rates)
		if !changed && share > 0.9*l.share { // the present share was too much
			share = max(minShare, l.share/2)
		}
	}
	l.share = share
	l.changed, l.fineSince, l.climbed = now, now, time.Time{}
	l.lagAtChange, l.wasFine = l.lag, false
	c := l.choiceAt(all, to)
	c.Changed, c.Reason = changed, why
	return c
}

// trimShare returns the share of each GOP that Trim should keep so that the connection carries it. It
// returns half if the capacity is unknown.
func (l *Ladder) trimShare(now time.Time, r Rates) float64 {
	c := l.recentCapacity(now)
	if c == 0 || r.Delta <= 0 {
		return 0.5
	}
	return min(max((usableCapacity*c-r.Key-r.Audio)/r.Delta, minShare), maxShare)
}

// widen raises the share of each GOP to keep if the measured capacity allows clearly more. It reports
// whether it did.
func (l *Ladder) widen(now time.Time, r Rates) bool {
	const much = 0.1
	share := l.trimShare(now, r)
	if l.recentCapacity(now) == 0 || share < l.share+much {
		return false
	}
	l.share, l.changed, l.fineSince = share, now, now
	l.lagAtChange, l.wasFine = l.lag, true
	return true
}

// choiceAt makes all[at] the ladder's step and returns the choice of it. If the step is a rendition, the
// choice wants that rendition. If it is another step below the top, the choice wants the highest rendition
// that is not ready but would fit the capacity, if any.
func (l *Ladder) choiceAt(all []Step, at int) Choice {
	l.step = all[at]
	c := Choice{Step: all[at], Share: l.share}
	if at == 0 {
		return c
	}
	for _, s := range all {
		if s.Rung == Rendition && !s.ready && (l.capacity == 0 || s.Rate <= usableCapacity*l.capacity) {
			c.Want = s.Offer
			break
		}
	}
	if c.Step.Rung == Rendition {
		c.Want = c.Step.Offer
	}
	return c
}

func formatRate(rate float64) string {
	if rate >= 1e6 {
		return fmt.Sprintf("%.1f Mb/s", rate/1e6)
	}
	return fmt.Sprintf("%.0f kb/s", rate/1e3)
}
