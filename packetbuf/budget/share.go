package budget

import (
	"math"
	"slices"
)

// Unlimited is the share when the budget does not restrict buffers beyond their own limits.
const Unlimited = math.MaxInt64

// Share returns the most bytes that one buffer may hold so that all fit within limit: the largest s for
// which the sum of min(size, s) over sizes is within limit. Buffers smaller than s keep everything; only
// larger ones shrink. Share returns Unlimited if all fit as they are, and 0 if some do not and limit is
// not positive. It sorts sizes.
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
