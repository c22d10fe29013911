package audiogap

import (
	"slices"
	"time"
)

const (
	// initialLag is the lag assumed of a track that has just begun.
	initialLag = 300 * time.Millisecond
	// maxLag bounds the learned lag. Audio that lags by more is not explained by interleaving.
	maxLag = 3 * time.Second
	// numSlots and slotDuration define the window over which the lag is learned.
	numSlots     = 10
	slotDuration = time.Second
	// minOccurrences is the number of slots in which a lag must occur to count as the track's usual
	// one. A backlog that arrives once does not count.
	minOccurrences = 3
)

// interleave learns how far audio usually lags behind video.
type interleave struct {
	worst  [numSlots]time.Duration // the greatest lag in each slot
	slot   int64                   // the newest slot
	filled int                     // number of slots filled
}

// add records that audio lagged behind video by lag when the newest video had the DTS now.
func (i *interleave) add(now, lag time.Duration) {
	at := int64(now / slotDuration)
	switch {
	case i.filled == 0 || at < i.slot || at-i.slot >= numSlots:
		*i = interleave{slot: at, filled: 1}
	case at > i.slot:
		for i.slot < at {
			i.slot++
			i.worst[i.slot%numSlots] = 0
			i.filled = min(i.filled+1, numSlots)
		}
	}
	w := &i.worst[at%numSlots]
	*w = max(*w, min(lag, maxLag))
}

// learned returns the usual lag: the greatest that occurred in at least minOccurrences slots. Before
// that many slots are filled, it returns the greatest lag so far, but at least initialLag.
func (i *interleave) learned() time.Duration {
	sorted := i.worst
	slices.Sort(sorted[:])
	if i.filled < minOccurrences {
		return max(initialLag, sorted[numSlots-1])
	}
	return sorted[numSlots-minOccurrences]
}
