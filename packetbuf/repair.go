package packetbuf

// RepairReason identifies a fault in a publisher's media. Its names are the values of the label "reason"
// of the metric holdfast_media_repairs_total.
type RepairReason uint8

// The reasons for repairs.
const (
	SplitFrame      RepairReason = iota // a frame arrived in several messages
	LatePart                            // part of a frame arrived after the frame had been passed on
	NoBeginning                         // a frame arrived without its first slice
	NoFrame                             // a message held neither a frame nor a parameter set
	NoConfig                            // no sequence header arrived; it was derived from the media
	BadConfig                           // the sequence header is empty or cannot be read
	OtherConfig                         // parameter sets in the media differ from the sequence header
	NoParameterSets                     // neither a sequence header nor the media holds parameter sets
	AnnexB                              // start codes instead of length prefixes
	StartCode                           // several NAL units under one length prefix
	EmptyUnit                           // a NAL unit of no bytes
	CutUnit                             // a NAL unit longer than its message
	ADTS                                // audio frames with ADTS headers
	Unreadable                          // the message is not valid media
	OtherTrack                          // a track in addition to those that a stream can have
	Timestamp                           // a single timestamp stepped ahead or back
	DecodeOrder                         // presentation times instead of decode times
	numReasons
)

// NumRepairReasons is the number of reasons, for arrays indexed by RepairReason.
const NumRepairReasons = int(numReasons)

// repairTexts holds each reason's name, a description of the fault and of what the relay does about it,
// and a hint for the user of the encoder.
var repairTexts = [numReasons]struct{ name, problem, hint string }{
	SplitFrame: {
		"split_frame", "frames arrive in several messages and are reassembled",
		"send each frame in one message",
	},
	LatePart: {
		"late_part", "part of a frame arrived late and was dropped",
		"send each frame in one message, or its slices without a pause",
	},
	NoBeginning: {
		"no_beginning", "a frame came without its first slice",
		"send all slices of a frame, in order",
	},
	NoFrame: {
		"no_frame", "a message without a frame was dropped",
		"send SEI, parameter sets and filler in the message of their frame",
	},
	NoConfig: {
		"no_config", "no sequence header was sent; it is derived from the media",
		"send the sequence header before the first frame",
	},
	BadConfig: {
		"bad_config", "the sequence header is empty or cannot be read",
		"send a complete decoder configuration record as the sequence header",
	},
	OtherConfig: {
		"other_config", "the parameter sets in the media differ from the sequence header and replace it",
		"send a new sequence header when the encoder's settings change",
	},
	NoParameterSets: {
		"no_parameter_sets", "frames that no decoder can read were dropped: no sequence header was sent",
		"send the sequence header before the first frame",
	},
	AnnexB: {
		"annex_b", "NAL units have start codes; they are converted to length prefixes",
		"send NAL units with length prefixes (AVCC), not Annex B",
	},
	StartCode: {
		"start_code", "one length prefix covers several NAL units; they are split",
		"give each NAL unit its own length prefix",
	},
	EmptyUnit: {
		"empty_unit", "empty NAL units are dropped",
		"do not send NAL units of zero length",
	},
	CutUnit: {
		"cut_unit", "a NAL unit longer than its message was dropped",
		"check the length prefixes of NAL units",
	},
	ADTS: {
		"adts", "ADTS headers are removed from audio frames",
		"send raw AAC frames and a sequence header",
	},
	Unreadable: {
		"unreadable", "messages that cannot be parsed were dropped",
		"check that the encoder sends valid FLV bodies",
	},
	OtherTrack: {
		"other_track", "an additional track is dropped",
		"additional video tracks become streams of their own, up to eight; one audio track is supported",
	},
	Timestamp: {
		"timestamp", "timestamps stepped ahead or back; such frames are stamped by their arrival",
		"check the encoder's clock and its handling of dropped frames",
	},
	DecodeOrder: {
		"decode_order", "presentation times stand where decode times belong; decode times are derived",
		"send decode timestamps and composition time offsets, or no B-frames",
	},
}

func (r RepairReason) String() string { return repairTexts[min(r, numReasons-1)].name }

// Problem returns a description of the fault and of what the relay does about it.
func (r RepairReason) Problem() string { return repairTexts[min(r, numReasons-1)].problem }

// Hint returns advice on what the encoder should do instead.
func (r RepairReason) Hint() string { return repairTexts[min(r, numReasons-1)].hint }

// Repair is the number of times that media of a track was repaired or dropped for one reason.
type Repair struct {
	Track  Track
	Reason RepairReason
	Count  uint64
}

// Applies reports whether the reason can occur for media of track t.
func (r RepairReason) Applies(t Track) bool {
	switch r {
	case Unreadable:
		return true
	case NoConfig, NoParameterSets, BadConfig, OtherTrack, NoFrame:
		return t != Data
	case ADTS:
		return t == Audio
	case Timestamp:
		return t != Data
	}
	return t == Video
}

// RepairCounts counts the repairs of one session. Its zero value is ready to use.
type RepairCounts struct {
	n       [NumTracks][NumRepairReasons]uint64
	changed bool
}

// Note counts one repair of track t for reason r.
func (c *RepairCounts) Note(t Track, r RepairReason) { c.n[t][r]++; c.changed = true }

// Count returns the number of repairs for a reason since the last Drain, over all tracks.
func (c *RepairCounts) Count(r RepairReason) (n uint64) {
	for t := range c.n {
		n += c.n[t][r]
	}
	return n
}

// Drain returns the repairs counted since the last Drain, and resets the counts. It returns nil if there
// were none.
func (c *RepairCounts) Drain() []Repair {
	if !c.changed {
		return nil
	}
	c.changed = false
	var all []Repair
	for t := range c.n {
		for r, n := range c.n[t] {
			if n > 0 {
				all = append(all, Repair{Track(t), RepairReason(r), n}) //nolint:gosec // small numbers
				c.n[t][r] = 0
			}
		}
	}
	return all
}
