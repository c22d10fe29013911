package codec

import "testing"

func TestAACConfig(t *testing.T) {
	for _, rate := range aacRates {
		for channels := 1; channels <= 8; channels++ {
			config, ok := AACConfig(rate, channels)
			if ok != (channels != 7) {
				t.Errorf("%d channels: got ok %v, want %v", channels, ok, !ok)
			}
			if !ok {
				continue
			}
			got, err := ParseAAC(config)
			want := AAC{ObjectType: AACLC, SampleRate: rate, Channels: channels, FrameSamples: 1024}
			if err != nil || got != want {
				t.Errorf("AACConfig(%d, %d) parses as %+v, %v; want %+v", rate, channels, got, err, want)
			}
		}
	}
	if _, ok := AACConfig(12345, 2); ok {
		t.Error("AACConfig(12345, 2): got a configuration, want none for a rate without an index")
	}
}
