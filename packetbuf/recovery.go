package packetbuf

// maxRecoveryPoints bounds the recovery points that a ring remembers. With intra refresh there is
// one in each refresh, which takes seconds.
const maxRecoveryPoints = 64

// recoveryPoints are the recovery points in a ring since its newest keyframe, the oldest first.
type recoveryPoints struct{ all []recoveryPoint }

// recoveryPoint is a place where a decoder can start that finds itself right after a while.
type recoveryPoint struct {
	start  uint64 // sequence of its packet
	left   uint32 // reference pictures to come until a decoder that begins there is right
	config Configs
}

// append follows the packets of the ring. A keyframe makes the points before it useless, and so do
// pictures that another publisher, or the relay itself, made.
func (q *recoveryPoints) append(p *Packet, config Configs) {
	switch {
	case p.Track != Video || p.Kind == Config:
		return
	case p.Kind == Key || p.Flags&(Filler|Splice|Repeat) != 0:
		q.all = q.all[:0]
		return
	case p.Kind == Delta:
		for i := range q.all {
			if q.all[i].left > 0 {
				q.all[i].left--
			}
		}
	}
	if p.Recovery > 0 {
		if len(q.all) == maxRecoveryPoints {
			q.all = append(q.all[:0], q.all[1:]...)
		}
		q.all = append(q.all, recoveryPoint{start: p.Seq, left: p.Recovery - 1, config: config})
	}
}

// dropTo forgets the points before seq.
func (q *recoveryPoints) dropTo(seq uint64) {
	n := 0
	for n < len(q.all) && q.all[n].start < seq {
		n++
	}
	if n > 0 {
		q.all = append(q.all[:0], q.all[n:]...)
	}
}

// best returns the point from which a decoder shows pictures soonest: the newest at which it is
// right already at the live edge, else the oldest; nil where there is none.
func (q *recoveryPoints) best() *recoveryPoint {
	for i := len(q.all) - 1; i >= 0; i-- {
		if q.all[i].left == 0 {
			return &q.all[i]
		}
	}
	if len(q.all) > 0 {
		return &q.all[0]
	}
	return nil
}

// JoinRecovery is Join for a decoder that can also begin at a recovery point: where the ring holds
// no random-access point, it returns a cursor at the recovery point from which pictures are right
// soonest.
func (r *Ring) JoinRecovery() (Cursor, Configs, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.gops.len() > 0 {
		g := r.gops.back()
		return Cursor{ring: r, next: g.start}, g.config, nil
	}
	if p := r.points.best(); p != nil {
		return Cursor{ring: r, next: p.start}, p.config, nil
	}
	return Cursor{}, Configs{}, ErrNoKeyframe
}
