package codec

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

const (
	opusHeadMono   = "4f707573486561640101380180bb0000000000"
	opusHeadStereo = "4f70757348656164010238010000000000fe00"
	opusHead51     = "4f707573486561640106380180bb0000000001" + "0402" + "000401020305"
)

func TestOpusHeadRoundTrip(t *testing.T) {
	for in, want := range map[string]OpusHead{
		opusHeadMono:   {Channels: 1, PreSkip: 312, Rate: 48000},
		opusHeadStereo: {Channels: 2, PreSkip: 312, Gain: -512},
		opusHead51:     {Channels: 6, PreSkip: 312, Rate: 48000, Family: 1, Mapping: "\x04\x02\x00\x04\x01\x02\x03\x05"},
	} {
		h, err := ParseOpusHead(unhex(t, in))
		if err != nil || h != want {
			t.Errorf("%s: got %+v, %v, want %+v", in, h, err, want)
		}
		if !bytes.Equal(h.Append(nil), unhex(t, in)) {
			t.Errorf("%s: got %x when written back", in, h.Append(nil))
		}
	}
	for _, bad := range []string{"", opusHeadMono[:36], opusHead51[:40], "4f707573486561640100380180bb0000000000", "4f707573486561640103380180bb0000000000", "4f707573486561641101380180bb0000000000"} {
		if h, err := ParseOpusHead(unhex(t, bad)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: got %+v, %v, want ErrMalformed", bad, h, err)
		}
	}
}

func FuzzOpusHead(f *testing.F) {
	for _, in := range []string{opusHeadMono, opusHeadStereo, opusHead51} {
		f.Add(unhex(f, in))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ParseOpusHead(b)
		if err != nil {
			return
		}
		if again, err := ParseOpusHead(h.Append(nil)); err != nil || again != h {
			t.Fatalf("got %+v, %v, want %+v", again, err, h)
		}
	})
}

var adtsConfigs = []AAC{
	{ObjectType: AACLC, SampleRate: 48000, Channels: 2, FrameSamples: 1024},
	{ObjectType: AACLC, SampleRate: 44100, Channels: 1, FrameSamples: 1024},
	{ObjectType: AACMain, SampleRate: 7350, Channels: 8, FrameSamples: 1024},
	{ObjectType: aacLTP, SampleRate: 96000, Channels: 6, FrameSamples: 1024},
}

func TestADTSRoundTrip(t *testing.T) {
	var file []byte
	lengths := []int{1, 6, 250, adtsMaxSize - adtsHeaderSize}
	for i, c := range adtsConfigs {
		var err error
		if file, err = c.AppendADTS(file, lengths[i]); err != nil {
			t.Fatal(err)
		}
		file = append(file, bytes.Repeat([]byte{byte(i)}, lengths[i])...)
	}
	r := NewADTSReader(bytes.NewReader(file))
	for i, want := range adtsConfigs {
		got, err := r.Next()
		if err != nil || got.Config != want || !bytes.Equal(got.Payload, bytes.Repeat([]byte{byte(i)}, lengths[i])) {
			t.Errorf("frame %d: got %+v, %v, want %+v", i, got.Config, err, want)
		}
	}
	if _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: got %v, want io.EOF", err)
	}
}

func TestAppendADTSErrors(t *testing.T) {
	lc := adtsConfigs[0]
	for name, c := range map[string]AAC{
		"short frames":  {ObjectType: AACLC, SampleRate: 48000, Channels: 2, FrameSamples: 960},
		"an odd rate":   {ObjectType: AACLC, SampleRate: 47000, Channels: 2, FrameSamples: 1024},
		"another coder": {ObjectType: 42, SampleRate: 48000, Channels: 2, FrameSamples: 1024},
		"seven":         {ObjectType: AACLC, SampleRate: 48000, Channels: 7, FrameSamples: 1024},
		"no channels":   {ObjectType: AACLC, SampleRate: 48000, FrameSamples: 1024},
	} {
		if out, err := c.AppendADTS(nil, 9); err == nil || len(out) > 0 {
			t.Errorf("%s: got %x, want an error", name, out)
		}
	}
	for _, n := range []int{0, adtsMaxSize} {
		if _, err := lc.AppendADTS(nil, n); err == nil {
			t.Errorf("frame of %d bytes: got no error", n)
		}
	}
	good, _ := lc.AppendADTS(nil, 2)
	good = append(good, 1, 2)
	for name, c := range map[string]struct {
		in   []byte
		want error
	}{
		"cut in the header":    {good[:5], io.ErrUnexpectedEOF},
		"cut before the frame": {good[:7], io.ErrUnexpectedEOF},
		"cut in the frame":     {good[:8], io.ErrUnexpectedEOF},
		"no sync word":         {good[1:], ErrMalformed},
		"another layer":        {unhex(t, "fff34c80013ffc0000"), ErrMalformed},
		"a reserved rate":      {unhex(t, "fff17c80013ffc0000"), ErrMalformed},
		"no frame":             {unhex(t, "fff14c8000fffc"), ErrMalformed},
		"two blocks":           {unhex(t, "fff14c80013ffd0000"), ErrMalformed},
	} {
		if _, err := NewADTSReader(bytes.NewReader(c.in)).Next(); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	// A CRC is not part of the frame.
	f, err := NewADTSReader(bytes.NewReader(unhex(t, "fff04c80015ffc"+"abcd"+"07"))).Next()
	if err != nil || !bytes.Equal(f.Payload, []byte{7}) {
		t.Errorf("frame with a CRC: got %x, %v, want 07", f.Payload, err)
	}
}

func FuzzADTS(f *testing.F) {
	for _, c := range adtsConfigs {
		b, _ := c.AppendADTS(nil, 3)
		f.Add(append(b, 1, 2, 3))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := NewADTSReader(bytes.NewReader(b))
		for {
			frame, err := r.Next()
			if err != nil {
				return
			}
			out, err := frame.Config.AppendADTS(nil, len(frame.Payload))
			if err != nil {
				continue // no channels
			}
			again, err := NewADTSReader(bytes.NewReader(append(out, frame.Payload...))).Next()
			if err != nil || again.Config != frame.Config || !bytes.Equal(again.Payload, frame.Payload) {
				t.Fatalf("got %+v, %v, want %+v", again.Config, err, frame.Config)
			}
		}
	})
}
