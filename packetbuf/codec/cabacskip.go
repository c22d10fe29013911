package codec

// skipState is the initial state of the CABAC context for mb_skip_flag at a quantiser of 51 and
// cabac_init_idc 0, if all neighbours are skipped. The more probable value is 1 (ITU-T H.264, table 9-13).
// Each skipped macroblock raises the state, up to skipLast.
const (
	skipState = 42
	skipLast  = 62
)

// skipRange is rangeTabLPS (ITU-T H.264, table 9-44) from skipState on.
var skipRange = [skipLast - skipState + 1][4]uint32{
	{16, 20, 23, 27},
	{15, 19, 22, 25},
	{14, 18, 21, 24},
	{14, 17, 20, 23},
	{13, 16, 19, 22},
	{12, 15, 18, 21},
	{12, 14, 17, 20},
	{11, 14, 16, 19},
	{11, 13, 15, 18},
	{10, 12, 15, 17},
	{10, 12, 14, 16},
	{9, 11, 13, 15},
	{9, 11, 12, 14},
	{8, 10, 12, 14},
	{8, 9, 11, 13},
	{7, 9, 11, 12},
	{7, 9, 10, 12},
	{7, 8, 10, 11},
	{6, 8, 9, 11},
	{6, 7, 9, 10},
	{6, 7, 8, 9},
}

// skipCoder is an arithmetic encoder (ITU-T H.264, 9.3.4.2) for skipped macroblocks and the end of the
// slice only. It codes only the more probable value until then, so codILow stays 0 up to the last bit.
type skipCoder struct {
	out     *bitWriter
	state   int
	rng     uint32 // codIRange
	started bool   // the first bit, which is not written, was produced
}

// skippedSliceData returns the slice data of n skipped macroblocks, including the trailing bits of the
// slice. It starts at a byte boundary. If pairs is set, macroblocks are coded in pairs, as in a frame that
// may have field macroblocks (MBAFF).
func skippedSliceData(n int, pairs bool) []byte {
	w := &bitWriter{}
	c := skipCoder{out: w, rng: 510}
	for i := range n {
		c.codeSkip()
		if i == n-1 {
			c.codeEnd()
		} else if !pairs || i%2 == 1 {
			c.codeContinue()
		}
	}
	return w.out
}

// codeSkip codes mb_skip_flag 1.
func (c *skipCoder) codeSkip() {
	c.rng -= skipRange[c.state][c.rng>>6&3]
	c.state = min(c.state+1, skipLast-skipState)
	c.renormalise()
}

// codeContinue codes end_of_slice_flag 0.
func (c *skipCoder) codeContinue() {
	c.rng -= 2
	c.renormalise()
}

func (c *skipCoder) renormalise() {
	for c.rng < 256 {
		c.rng <<= 1
		c.putBit(0)
	}
}

func (c *skipCoder) putBit(bit uint32) {
	if c.started {
		c.out.u(1, bit)
	}
	c.started = true
}

// codeEnd codes end_of_slice_flag 1 and flushes the encoder. The last bit written is the slice's stop
// bit.
func (c *skipCoder) codeEnd() {
	low := c.rng - 2
	const flush = 7 // doublings of a range of 2 to reach 256
	low <<= flush
	for bit := flush + 9; bit >= 8; bit-- {
		c.putBit(low >> bit & 1)
	}
	c.out.u(1, 1)
}
