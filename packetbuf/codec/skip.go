package codec

// skipState is the state of the context that mb_skip_flag is coded with at a quantiser of 51 and
// cabac_init_idc 0, where all neighbours are skipped: the more probable value is 1 (ITU-T H.264,
// table 9-13). Each skipped macroblock raises it, up to skipLast.
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

// skipCoder is an arithmetic encoder (ITU-T H.264, 9.3.4.2) that codes nothing but the more
// probable value and ends of slices: its low end stays 0 up to the last bit.
type skipCoder struct {
	w       *bitWriter
	state   int
	width   uint32 // codIRange
	started bool   // the first bit is not written
}

// skips are the slice data of n macroblocks, all of them skipped, and the trailing bits of the
// slice; with pairs two by two, as in a frame that may have field macroblocks. They begin at a whole
// byte.
func skips(n int, pairs bool) []byte {
	w := &bitWriter{}
	c := skipCoder{w: w, width: 510}
	for i := range n {
		c.skip()
		if i == n-1 {
			c.end()
		} else if !pairs || i%2 == 1 {
			c.goOn()
		}
	}
	return w.out
}

// skip codes mb_skip_flag 1.
func (c *skipCoder) skip() {
	c.width -= skipRange[c.state][c.width>>6&3]
	c.state = min(c.state+1, skipLast-skipState)
	c.renormalise()
}

// goOn codes end_of_slice_flag 0.
func (c *skipCoder) goOn() {
	c.width -= 2
	c.renormalise()
}

func (c *skipCoder) renormalise() {
	for c.width < 256 {
		c.width <<= 1
		c.put(0)
	}
}

func (c *skipCoder) put(bit uint32) {
	if c.started {
		c.w.u(1, bit)
	}
	c.started = true
}

// end codes end_of_slice_flag 1 and writes what is left, ten bits less the one that the low end's
// carry would have been. The last one is the slice's stop bit.
func (c *skipCoder) end() {
	low := c.width - 2
	const flush = 7 // doublings of a width of 2 up to 256
	low <<= flush
	for bit := flush + 9; bit >= 8; bit-- {
		c.put(low >> bit & 1)
	}
	c.w.u(1, 1)
}
