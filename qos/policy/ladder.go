package policy

import (
	"fmt"
	"time"
)

// Line is what a route's connection shows at one moment; see qos.Sample.
type Line struct {
	Lag time.Duration // how far the far side is behind the live edge
	// Rate is what arrived lately, in bits per second. Limited tells that it is what the line
	// carries: there was more to send all the time.
	Rate    float64
	Limited bool
}

// What a ladder goes by. Lag is what viewers at the far side feel: a second of it is within
// what players buffer, two are not.
const (
	lagFine  = 350 * time.Millisecond // less is none: a big keyframe takes as long
	lagSoon  = 700 * time.Millisecond // more, and still rising, is going to be too much
	lagDown  = time.Second            // more is too much
	lagSkip  = 1800 * time.Millisecond
	mostBump = 500 * time.Millisecond // see bump
	rises    = 3                      // samples one after another that make lag a rising one
	skipping = time.Second            // between two skips

	// A step down has to be given time to catch up. It was not enough when lag has grown by
	// worse since, or has not come down by better in a time of grace.
	worse  = 400 * time.Millisecond
	better = 200 * time.Millisecond
	grace  = 4 * time.Second

	climbAfter = 3 * time.Second  // in health, before the first step up
	climbMost  = 16 * time.Second // after steps up that failed
	proven     = 3 * time.Second  // a step up that lasts as long has not failed

	// fits is the part of what the line carries that a step may take: what waits has to be
	// caught up with.
	fits = 0.85
	// leastShare is the least of a GOP that Trim keeps: less is hardly more than keyframes.
	leastShare = 0.15
	mostShare  = 0.95
	// fading is how long ago a measured capacity may be to be believed.
	fading      = time.Minute
	unknownDebt = 24 * time.Hour // more than any buffer has: until the first look
	// idle is how long a catch-up may make no way before the ladder helps.
	idle = 5 * time.Second
)

// Choice is what a ladder says: what to send from now on, and why.
type Choice struct {
	Step  Step
	Share float64 // of Trim: the part of each GOP to keep
	// Skip tells to leave out the pictures that wait, up to the newest keyframe: the sound
	// comes through whole.
	Skip bool
	// Want is a rendition that would be carried if it were ready.
	Want    string
	Changed bool // the step is another than before
	Reason  Reason
}

// Reason says why the ladder did what it did.
type Reason struct {
	Cause string `json:"cause"` // a label value of holdfast_route_level_changes_total
	Text  string `json:"text"`
}

// The causes of a change of rung.
const (
	CauseLag     = "lag"     // the far side fell behind
	CauseClimb   = "climb"   // the line seemed to carry more
	CauseFailed  = "failed"  // a step up that the line did not carry
	CauseHistory = "history" // a new connection begins where the history says that it will hold
	CauseForced  = "forced"  // the operator said so
	CauseOffer   = "offer"   // a rendition came, went or changed
)

// LevelCauses lists the causes of a change of rung, for metrics that start at 0.
func LevelCauses() []string {
	return []string{CauseLag, CauseClimb, CauseFailed, CauseHistory, CauseForced, CauseOffer}
}

// Ladder moves one route's connection down fast and up slowly. The zero value is not usable.
type Ladder struct {
	places []Place
	at     Step
	share  float64
	forced *Place

	capacity  float64   // bits per second, 0 while unknown
	measured  time.Time // when
	changed   time.Time // when the step last changed
	lagThen   time.Duration
	calm      bool      // all has been well at some time since
	climbed   time.Time // when it last went up; zero once that has proved itself or failed
	failures  int       // steps up that failed one after another
	fineSince time.Time
	skipped   time.Time
	lag       time.Duration // at the last look
	rising    int           // looks at which it had risen, one after another
	bump      time.Duration // what a keyframe alone makes of lag
	debt      time.Duration // lag that the connection began with, as far as it is not caught up yet
	debtMoved time.Time
}

// NewLadder returns a ladder at its top.
func NewLadder(places []Place) *Ladder { return &Ladder{places: places, share: mostShare} }

// Begin is called when a connection comes up. It starts behind the live edge, at a keyframe or
// further back where it replays: how far the first look tells, and that much is no trouble.
// capacity, in bits per second, is what the history says the line will carry, or 0. With a
// capacity the ladder begins at the step that fits; else where it stood.
func (l *Ladder) Begin(now time.Time, offers []Offer, capacity float64) Choice {
	l.debt, l.debtMoved, l.lag, l.rising, l.calm = unknownDebt, now, 0, 0, true
	l.climbed, l.fineSince, l.skipped, l.failures = time.Time{}, now, time.Time{}, 0
	all := steps(l.places, offers)
	at := l.find(all)
	if capacity > 0 && l.forced == nil {
		l.capacity, l.measured = capacity, now
		if fit := l.fit(all, 0, capacity); fit > at {
			return l.move(now, all, fit, Reason{CauseHistory, "the history says that the line carries " + bits(capacity)})
		}
	}
	if why, gone := l.gone(all[at]); gone {
		return l.move(now, all, at, why)
	}
	return l.stay(all, at)
}

// Elsewhere is Begin where the connection goes over another line than the last: what the
// ladder has learned of that one says nothing of this.
func (l *Ladder) Elsewhere(now time.Time, offers []Offer, capacity float64) Choice {
	before := l.at
	if l.forced == nil {
		l.at, l.share, l.capacity, l.measured = Step{}, mostShare, 0, time.Time{}
	}
	c := l.Begin(now, offers, capacity)
	if !c.Changed && (c.Step.Rung != before.Rung || c.Step.Offer != before.Offer) {
		c.Changed, c.Reason = true, Reason{CauseHistory, "another line, of which nothing bad is known"}
	}
	return c
}

// Force keeps the ladder at a rung, or with nil lets it go.
func (l *Ladder) Force(p *Place) { l.forced = p }

// Forced is the rung that the ladder is kept at, or nil.
func (l *Ladder) Forced() *Place { return l.forced }

// Capacity is what the line was last measured to carry, in bits per second, and when.
func (l *Ladder) Capacity() (float64, time.Time) { return l.capacity, l.measured }

// Step takes what the line shows, a few times a second, and says what to send.
func (l *Ladder) Step(now time.Time, line Line, offers []Offer) Choice {
	all := steps(l.places, offers)
	if l.forced == nil && all[0].Rate <= 0 && l.at.Rate > 0 {
		l.look(now, line)
		return Choice{Step: l.at, Share: l.share} // nothing is known of the stream, as while it is held
	}
	at := l.find(all)
	l.bump = bump(all[at].rates)
	l.look(now, line)
	why, gone := l.gone(all[at])
	switch {
	case l.forced != nil:
		return l.force(now, all, at)
	case gone:
		return l.move(now, all, at, why)
	case l.tooMuch(now, line):
		return l.skipIf(now, l.down(now, all, at))
	case all[at].Rung == Trim && now.Sub(l.fineSince) >= climbAfter && now.Sub(l.changed) >= climbAfter && l.widen(now, all[at].rates):
		return l.stay(all, at)
	case at > 0 && now.Sub(l.fineSince) >= l.patience() && now.Sub(l.changed) >= l.patience():
		return l.up(now, all, at)
	}
	return l.skipIf(now, l.stay(all, at))
}

// bump is how much more lag than others a stream with big keyframes has on a line that carries
// it: what one takes at the stream's own rate, beyond what is fine for all, within bounds.
func bump(r Rates) time.Duration {
	if r.Total() <= 0 {
		return 0
	}
	takes := time.Duration(r.Keyframe / r.Total() * float64(time.Second))
	return min(max(takes-lagFine, 0), mostBump)
}

// look notes what the line shows.
func (l *Ladder) look(now time.Time, line Line) {
	lag := l.owed(now, line.Lag)
	l.rising++
	if lag <= l.lag {
		l.rising = 0
	}
	l.lag = lag
	if line.Limited && line.Rate > 0 {
		l.learn(now, line.Rate)
	}
	if lag > lagFine+l.bump {
		l.fineSince = now
		return
	}
	l.calm = true
	if !l.climbed.IsZero() && now.Sub(l.climbed) >= proven {
		l.climbed, l.failures = time.Time{}, 0
	}
}

// tooMuch tells whether a step down is due.
func (l *Ladder) tooMuch(now time.Time, line Line) bool {
	if lag := l.lag - l.bump; lag < lagDown && (lag < lagSoon || l.rising < rises || !line.Limited) {
		return false
	}
	if l.calm {
		return true
	}
	return l.lag >= l.lagThen+worse || now.Sub(l.changed) >= grace && l.lag >= l.lagThen-better
}

// owed is the lag without what the connection began with and is still catching up.
func (l *Ladder) owed(now time.Time, lag time.Duration) time.Duration {
	if lag < l.debt {
		l.debt, l.debtMoved = lag, now
	} else if l.debt > 0 && now.Sub(l.debtMoved) >= idle {
		l.debt, l.debtMoved = l.debt/2, now
	}
	return lag - l.debt
}

// learn notes what the line carried: a mean in which what is older fades.
func (l *Ladder) learn(now time.Time, rate float64) {
	if l.capacity == 0 || now.Sub(l.measured) > fading {
		l.capacity = rate
	}
	const weight = 0.3
	l.capacity += weight * (rate - l.capacity)
	l.measured = now
}

// known is the capacity, if it was measured lately.
func (l *Ladder) known(now time.Time) float64 {
	if now.Sub(l.measured) > fading {
		return 0
	}
	return l.capacity
}

// patience is how long all has to be well before the next step up.
func (l *Ladder) patience() time.Duration {
	return min(climbAfter<<min(l.failures, 8), climbMost)
}

func (l *Ladder) down(now time.Time, all []Step, at int) Choice {
	reason := Reason{CauseLag, fmt.Sprintf("the far side is %.1f s behind", l.lag.Seconds())}
	if !l.climbed.IsZero() {
		l.failures++
		reason = Reason{CauseFailed, fmt.Sprintf("the line did not carry the step up: %.1f s behind", l.lag.Seconds())}
	}
	from := min(at+1, len(all)-1)
	if all[at].Rung == Trim && l.share > leastShare {
		from = at // a smaller share comes first
	}
	to := from
	if c := l.known(now); c > 0 {
		to = l.fit(all, from, c)
		reason.Text += ", the line carries " + bits(c)
	}
	for !all[to].ready && to < len(all)-1 {
		to++
	}
	if !all[to].ready {
		return l.stay(all, at)
	}
	return l.move(now, all, to, reason)
}

// skipIf leaves out waiting pictures where the far side is so far behind that a step down
// would take too long to catch up.
func (l *Ladder) skipIf(now time.Time, c Choice) Choice {
	if l.lag >= lagSkip+l.bump && now.Sub(l.skipped) >= skipping {
		l.skipped, c.Skip = now, true
	}
	return c
}

// up tries the step above, or one further above where the line was lately measured to carry
// it.
func (l *Ladder) up(now time.Time, all []Step, at int) Choice {
	to := at - 1
	for to > 0 && !all[to].ready {
		to--
	}
	if !all[to].ready {
		return l.stay(all, at)
	}
	if c := l.known(now); c > 0 {
		for i := range to {
			if all[i].ready && all[i].Rate <= fits*c {
				to = i
				break
			}
		}
	}
	c := l.move(now, all, to, Reason{CauseClimb, fmt.Sprintf("nothing has waited for %.0f s", l.patience().Seconds())})
	l.climbed, l.calm = now, true
	return c
}

func (l *Ladder) move(now time.Time, all []Step, to int, why Reason) Choice {
	changed := all[to].Rung != l.at.Rung || all[to].Offer != l.at.Offer
	share := mostShare
	if all[to].Rung == Trim {
		share = l.trim(now, all[to].rates)
		if !changed && share > 0.9*l.share { // which was too much
			share = max(leastShare, l.share/2)
		}
	}
	l.share = share
	l.changed, l.fineSince, l.climbed = now, now, time.Time{}
	l.lagThen, l.calm = l.lag, false
	c := l.stay(all, to)
	c.Changed, c.Reason = changed, why
	return c
}

// trim is the share of each GOP that the line carries. Of a line that was not measured it is
// half.
func (l *Ladder) trim(now time.Time, r Rates) float64 {
	c := l.known(now)
	if c == 0 || r.Delta <= 0 {
		return 0.5
	}
	return min(max((fits*c-r.Key-r.Audio)/r.Delta, leastShare), mostShare)
}

// widen keeps more of each GOP where the line was measured to carry more than is kept; it
// returns whether it does.
func (l *Ladder) widen(now time.Time, r Rates) bool {
	const much = 0.1
	share := l.trim(now, r)
	if l.known(now) == 0 || share < l.share+much {
		return false
	}
	l.share, l.changed, l.fineSince = share, now, now
	l.lagThen, l.calm = l.lag, true
	return true
}

// stay is the choice that changes nothing. It asks for the rendition above or at the step that
// is not ready, where the line does not carry the whole stream.
func (l *Ladder) stay(all []Step, at int) Choice {
	l.at = all[at]
	c := Choice{Step: all[at], Share: l.share}
	if at == 0 {
		return c
	}
	for _, s := range all {
		if s.Rung == Rendition && !s.ready && (l.capacity == 0 || s.Rate <= fits*l.capacity) {
			c.Want = s.Offer
			break
		}
	}
	if c.Step.Rung == Rendition {
		c.Want = c.Step.Offer
	}
	return c
}

func bits(rate float64) string {
	if rate >= 1e6 {
		return fmt.Sprintf("%.1f Mb/s", rate/1e6)
	}
	return fmt.Sprintf("%.0f kb/s", rate/1e3)
}
