package codec

import "cmp"

// maxRound is the number of freeze frames after which numbering restarts, in a stream whose own
// numbers take longer to repeat. It bounds the frames that a viewer that joins has to receive.
const maxRound = 256

// position is the position of a freeze frame.
type position struct {
	n           int  // from 1, in its round
	afterRound  bool // another round precedes it
	lastOfRound bool // it ends its round: the next frames are numbered as after an IDR picture
}

// positionOf returns the position of the nth freeze frame.
func (f *Freezer) positionOf(n int) position {
	if f.numberingPeriod() <= maxRound && f.roundLength == 0 {
		return position{n: n}
	}
	round := cmp.Or(f.roundLength, maxRound)
	return position{n: (n-1)%round + 1, afterRound: n > round, lastOfRound: n%round == 0}
}

// numberingPeriod returns the number of freeze frames after which they repeat, except for the first.
func (f *Freezer) numberingPeriod() int {
	n := f.sps.Log2MaxFrameNum
	if f.sps.POCType == 0 {
		n = max(n, f.sps.Log2MaxPOCLSB-1)
	}
	return 1 << n
}

// Way returns the freeze frames that lead from the pictures passed to Follow to the newest freeze
// frame. A decoder that has had nothing since must receive them before it can continue with Next.
// They are at most maxRound+1.
func (f *Freezer) Way() (pictures [][]byte) {
	if f.made == 0 {
		return nil
	}
	last := f.positionOf(f.made)
	count := last.n
	if last.afterRound { // one frame replaces all earlier rounds
		pictures = append(pictures, f.makeFrame(position{n: 1, lastOfRound: true}))
	} else {
		count = (count-1)%f.numberingPeriod() + 1
	}
	for n := 1; n <= count; n++ {
		pictures = append(pictures, f.makeFrame(position{n: n, afterRound: last.afterRound, lastOfRound: n == last.n && last.lastOfRound}))
	}
	return pictures
}
