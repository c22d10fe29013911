package codec

import "slices"

// AACConfig returns the AudioSpecificConfig of AAC-LC for a sample rate in Hz and one to eight channels.
// ok is false if AAC has no such configuration.
func AACConfig(rate, channels int) (config []byte, ok bool) {
	i := slices.Index(aacRates[:], rate)
	arrangement := slices.Index(aacChannels[:], channels)
	if i < 0 || arrangement <= 0 {
		return nil, false
	}
	return []byte{AACLC<<3 | byte(i>>1), byte(i&1)<<7 | byte(arrangement)<<3}, true //nolint:gosec // indices of short tables
}
