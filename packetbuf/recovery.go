package packetbuf

// maxRecoveryPoints bounds the recovery points that a ring remembers. Video with intra refresh has one
// per refresh cycle, which takes seconds.
const maxRecoveryPoints = 64

// recoveryPoints are the recovery points in a ring since its newest keyframe, oldest first.
type recoveryPoints struct{ all []recoveryPoint }

// recoveryPoint is a packet at which a decoder can start so that it shows correct video after some frames.
type recoveryPoint struct {
	start      uint64 // sequence number of the packet
	framesLeft uint32 // reference frames to come until a decoder that started here is correct
	config     Configs
}

// add records the newest packet of the ring. It discards all earlier points at a keyframe, which is
// better to start at, and at frames of another publisher or of the relay itself.
func (q *recoveryPoints) add(p *Packet, config Configs) {
	switch {
	case p.Track != Video || p.Kind == Config:
		return
	case p.Kind == Key || p.Flags&(Filler|Splice|Repeat) != 0:
		q.all = q.all[:0]
		return
	case p.Kind == Delta:
		for i := range q.all {
			if q.all[i].framesLeft > 0 {
				q.all[i].framesLeft--
			}
		}
	}
	if p.Recovery > 0 {
		if len(q.all) == maxRecoveryPoints {
			q.all = append(q.all[:0], q.all[1:]...)
		}
		q.all = append(q.all, recoveryPoint{start: p.Seq, framesLeft: p.Recovery - 1, config: config})
	}
}

// dropTo removes the points before seq.
func (q *recoveryPoints) dropTo(seq uint64) {
	n := 0
	for n < len(q.all) && q.all[n].start < seq {
		n++
	}
	if n > 0 {
		q.all = append(q.all[:0], q.all[n:]...)
	}
}

// best returns the point from which a decoder shows correct video soonest. That is the newest point
// from which video is already correct at the live edge, otherwise the oldest point. It returns nil if
// there is no point.
func (q *recoveryPoints) best() *recoveryPoint {
	for i := len(q.all) - 1; i >= 0; i-- {
		if q.all[i].framesLeft == 0 {
			return &q.all[i]
		}
	}
	if len(q.all) > 0 {
		return &q.all[0]
	}
	return nil
}

// JoinRecovery is like Join, for a decoder that can also start at a recovery point. If the ring holds
// no random-access point, it returns a cursor at the recovery point from which video is correct
// soonest. If it holds neither, it returns ErrNoKeyframe.
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
