package packetbuf

// RepairReason is what was wrong with a publisher's media. The names are the values of the label
// reason of holdfast_media_repairs_total.
type RepairReason uint8

// The reasons.
const (
	SplitPicture    RepairReason = iota // a picture came in several messages
	LatePart                            // a part of a picture came after the picture had been passed on
	NoBeginning                         // a picture came without its first slice
	NoPicture                           // a message held no picture, audio frame or parameter set
	NoConfig                            // no sequence header came; it was made from the media
	BadConfig                           // the sequence header is empty or cannot be read
	OtherConfig                         // parameter sets in the media differ from the sequence header
	NoParameterSets                     // neither a sequence header nor the media says how to decode it
	AnnexB                              // start codes instead of lengths
	StartCode                           // several NAL units under one length
	EmptyUnit                           // a NAL unit of no bytes
	CutUnit                             // a NAL unit longer than its message
	ADTS                                // audio frames with ADTS headers
	Unreadable                          // the message is no media
	OtherTrack                          // a track beside those that a stream can have
	numReasons
)

// NumRepairReasons is the number of reasons, for arrays indexed by RepairReason.
const NumRepairReasons = int(numReasons)

// repairTexts say what was wrong, what the relay does about it, and what the encoder should do.
var repairTexts = [numReasons]struct{ name, problem, hint string }{
	SplitPicture: {"split_picture", "pictures come in several messages and are put together",
		"send each picture in one message"},
	LatePart: {"late_part", "a part of a picture came late and was left out",
		"send each picture in one message, or its slices without a pause"},
	NoBeginning: {"no_beginning", "a picture came without its first slice",
		"send all slices of a picture, in order"},
	NoPicture: {"no_picture", "a message without a picture was left out",
		"send SEI, parameter sets and filler in the message of their picture"},
	NoConfig: {"no_config", "no sequence header came; it is made from the media",
		"send the sequence header before the first frame"},
	BadConfig: {"bad_config", "the sequence header is empty or cannot be read",
		"send a complete decoder configuration record as the sequence header"},
	OtherConfig: {"other_config", "the parameter sets in the media differ from the sequence header and are used instead",
		"send a new sequence header when the encoder's settings change"},
	NoParameterSets: {"no_parameter_sets", "frames were left out that no decoder can read: no sequence header came",
		"send the sequence header before the first frame"},
	AnnexB: {"annex_b", "NAL units come with start codes and are given lengths",
		"send NAL units with their length in front"},
	StartCode: {"start_code", "several NAL units come under one length and are taken apart",
		"give each NAL unit a length of its own"},
	EmptyUnit: {"empty_unit", "empty NAL units are left out",
		"do not send NAL units of no bytes"},
	CutUnit: {"cut_unit", "a NAL unit longer than its message was left out",
		"check the lengths of NAL units, and that none is lost before it is sent"},
	ADTS: {"adts", "ADTS headers are taken off audio frames",
		"send raw AAC frames and a sequence header"},
	Unreadable: {"unreadable", "messages were left out that are no media",
		"check the encoder's container format"},
	OtherTrack: {"other_track", "a further track is left out",
		"further tracks of video become streams of their own, eight at most; of audio there is one"},
}

func (r RepairReason) String() string { return repairTexts[min(r, numReasons-1)].name }

// Problem says what is wrong with the media and what the relay does about it.
func (r RepairReason) Problem() string { return repairTexts[min(r, numReasons-1)].problem }

// Hint says what the encoder should do.
func (r RepairReason) Hint() string { return repairTexts[min(r, numReasons-1)].hint }

// Repair is how often a track's media was repaired, or left out, for one reason.
type Repair struct {
	Track  Track
	Reason RepairReason
	Count  uint64
}

// Applies reports whether media of a track can be repaired for a reason.
func (r RepairReason) Applies(t Track) bool {
	switch r {
	case Unreadable:
		return true
	case NoConfig, NoParameterSets, BadConfig, OtherTrack, NoPicture:
		return t != Data
	case ADTS:
		return t == Audio
	}
	return t == Video
}

// RepairCounts counts repairs of one session. Its zero value is ready.
type RepairCounts struct {
	n       [NumTracks][NumRepairReasons]uint64
	changed bool
}

// Note counts one repair.
func (c *RepairCounts) Note(t Track, r RepairReason) { c.n[t][r]++; c.changed = true }

// Drain returns what was counted since the last Drain; nil where nothing was.
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
