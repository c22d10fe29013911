package codec

// SetRound has the numbers of made pictures begin anew after n.
func (f *Freezer) SetRound(n int) { f.round = n }
