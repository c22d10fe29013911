package codec

// SetRound makes the numbering of freeze frames restart after n of them.
func (f *Freezer) SetRound(n int) { f.roundLength = n }
