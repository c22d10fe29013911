package codec

import "cmp"

// roundMost is after how many made pictures their numbers begin anew, where those of the stream do
// not come again so soon of themselves: who joins has to see all that were made since.
const roundMost = 256

// number is where a made picture stands.
type number struct {
	n     int  // from 1 on, in its round
	after bool // it follows on another round
	last  bool // it ends its round: what follows is numbered as behind an IDR picture
}

// at is where the nth made picture stands.
func (f *Freezer) at(n int) number {
	if f.period() <= roundMost && f.round == 0 {
		return number{n: n}
	}
	round := cmp.Or(f.round, roundMost)
	return number{n: (n-1)%round + 1, after: n > round, last: n%round == 0}
}

// period is after how many made pictures the same ones come again of themselves, but for the first.
func (f *Freezer) period() int {
	n := f.sps.Log2MaxFrameNum
	if f.sps.POCType == 0 {
		n = max(n, f.sps.Log2MaxPOCLSB-1)
	}
	return 1 << n
}

// Way are the made pictures that a decoder has to see which has had what was followed and nothing
// since, to show the last one made and go on with the next. They are at most roundMost and one.
func (f *Freezer) Way() (pictures [][]byte) {
	if f.made == 0 {
		return nil
	}
	last := f.at(f.made)
	count := last.n
	if last.after { // one picture does for all rounds before
		pictures = append(pictures, f.make(number{n: 1, last: true}))
	} else {
		count = (count-1)%f.period() + 1
	}
	for n := 1; n <= count; n++ {
		pictures = append(pictures, f.make(number{n: n, after: last.after, last: n == last.n && last.last}))
	}
	return pictures
}
