package audiogap

import (
	"slices"
	"time"
)

const (
	// unknown is the interleave assumed of a track that has just begun.
	unknown = 300 * time.Millisecond
	// widest bounds what is learned: audio that is later is no matter of interleaving.
	widest = 3 * time.Second
	// slots and slot are the window over which an interleave is learned.
	slots = 10
	slot  = time.Second
	// repeats is how many slots a lag has to be seen in before it is the track's own. A backlog
	// that arrives once is not.
	repeats = 3
)

// interleave learns how far audio usually lies behind video.
type interleave struct {
	worst [slots]time.Duration // the greatest lag in each slot
	slot  int64                // the newest one
	used  int                  // how many have been filled
}

// add notes that audio was lag behind video when video stood at now.
func (i *interleave) add(now, lag time.Duration) {
	at := int64(now / slot)
	switch {
	case i.used == 0 || at < i.slot || at-i.slot >= slots:
		*i = interleave{slot: at, used: 1}
	case at > i.slot:
		for i.slot < at {
			i.slot++
			i.worst[i.slot%slots] = 0
			i.used = min(i.used+1, slots)
		}
	}
	w := &i.worst[at%slots]
	*w = max(*w, min(lag, widest))
}

// learned returns the lag that recurs.
func (i *interleave) learned() time.Duration {
	sorted := i.worst
	slices.Sort(sorted[:])
	if i.used < repeats {
		return max(unknown, sorted[slots-1])
	}
	return sorted[slots-repeats]
}
