package codec

import "cmp"

// maxRound is the number of freeze frames after which frame numbers restart, unless the stream's own
// frame numbers wrap earlier. It bounds the number of frames that a joining viewer has to receive.
const maxRound = 256

// position is the position of a freeze frame in the sequence of freeze frames. The sequence is divided
// into rounds, after each of which frame numbers restart.
type position struct {
	n           int  // number within its round, from 1
	afterRound  bool // another round precedes its round
	lastOfRound bool // it ends its round: later frames are numbered as after an IDR frame
}

// positionOf returns the position of the nth freeze frame.
func (f *Freezer) positionOf(n int) position {
	if f.numberingPeriod() <= maxRound && f.roundLength == 0 {
		return position{n: n}
	}
	round := cmp.Or(f.roundLength, maxRound)
	return position{n: (n-1)%round + 1, afterRound: n > round, lastOfRound: n%round == 0}
}

// numberingPeriod returns the number of freeze frames after which frame numbers and POC wrap, so that
// freeze frames repeat. The first one is an exception and does not recur.
func (f *Freezer) numberingPeriod() int {
	n := f.sps.Log2MaxFrameNum
	if f.sps.POCType == 0 {
		n = max(n, f.sps.Log2MaxPOCLSB-1)
	}
	return 1 << n
}

// Way returns the freeze frames that bring a decoder from the frames passed to Follow up to the newest
// freeze frame, at most maxRound+1. A decoder that has received no freeze frame yet must receive them
// before the result of Next.
func (f *Freezer) Way() (pictures [][]byte) {
	if f.made == 0 {
		return nil
	}
	last := f.positionOf(f.made)
	count := last.n
	if last.afterRound { // one frame is equivalent to all earlier rounds
		pictures = append(pictures, f.makeFrame(position{n: 1, lastOfRound: true}))
	} else {
		count = (count-1)%f.numberingPeriod() + 1
	}
	for n := 1; n <= count; n++ {
		pictures = append(pictures, f.makeFrame(position{n: n, afterRound: last.afterRound, lastOfRound: n == last.n && last.lastOfRound}))
	}
	return pictures
}
