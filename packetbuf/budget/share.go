package budget

import (
	"math"
	"slices"
)

// Unlimited is the share where every buffer may hold what its own limits allow.
const Unlimited = math.MaxInt64

// Share returns the most that one buffer may hold for buffers of these sizes to fit into limit
// together: the largest s for which the sum of min(size, s) is within limit. Buffers below it keep
// all they have; only those above it shrink. It is Unlimited where all fit as they are, and 0 where
// limit is not positive. It sorts sizes.
func Share(limit int64, sizes []int64) int64 {
	slices.Sort(sizes)
	left := limit
	for i, size := range sizes {
		each := max(0, left) / int64(len(sizes)-i)
		if size > each {
			return each
		}
		left -= size
	}
	return Unlimited
}
