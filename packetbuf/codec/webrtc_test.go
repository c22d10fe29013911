package codec

import (
	"bytes"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// Parameter sets written by x265, 640x360, 8 and 10 bits.
const (
	hevcVPSHex = "40010c01ffff01600000030090000003000003003fba0240"
	hevcPPSHex = "4401c172b46240"
)

// encodeClip returns a short clip made by ffmpeg. Without ffmpeg it skips the test, but fails it in CI.
func encodeClip(t *testing.T, args string) []byte {
	t.Helper()
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("ffmpeg is missing")
		}
		t.Skip("needs ffmpeg")
	}
	all := append(strings.Fields("-f lavfi -i testsrc2=size=322x182:rate=30 -frames:v 30"), strings.Fields(args)...)
	return ffmpeg(t, nil, append(all, "-")...)
}

// TestAVCHasB compares AVCHasB with the picture types that ffprobe reports.
func TestAVCHasB(t *testing.T) {
	raw := encodeClip(t, "-pix_fmt yuv420p -c:v libx264 -preset medium -bf 3 -g 15 -x264-params aud=1 -f h264")
	file := filepath.Join(t.TempDir(), "clip.h264")
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	// ffprobe lists frames in display order and packets in coding order; their positions in the
	// file match them.
	list, err := exec.Command("ffprobe", "-v", "error", "-show_entries", "frame=pkt_pos,pict_type", "-of", "csv=p=0", file).Output()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int{}
	for line := range strings.FieldsSeq(string(list)) {
		for _, field := range strings.Split(line, ",") {
			if len(field) == 1 && strings.Contains("IPB", field) {
				want[field]++
			}
		}
	}
	got := map[string]int{}
	for _, unit := range bytes.SplitAfter(raw, []byte{0, 0, 0, 1, 9})[1:] {
		au := AppendAnnexB(nil, append([]byte{0, 0, 0, 1, 9}, bytes.TrimSuffix(unit, []byte{0, 0, 0, 1, 9})...))
		kind, err := AVCKind(au, 4, false)
		switch {
		case err != nil || !AVCHasSlice(au):
			t.Fatalf("%.20x: %v", au, err)
		case AVCHasB(au):
			got["B"]++
			if kind == packetbuf.Key {
				t.Error("got a keyframe with a B slice")
			}
		case kind == packetbuf.Key:
			got["I"]++
		default:
			got["P"]++
		}
	}
	if want["B"] == 0 || got["B"] != want["B"] || got["I"]+got["P"] != want["I"]+want["P"] {
		t.Errorf("got pictures %v, want %v as ffprobe reports", got, want)
	}
}

func TestAVCSlices(t *testing.T) {
	for _, c := range []struct {
		name     string
		nals     []string
		slice, b bool
	}{
		{"nothing", nil, false, false},
		{"sets alone", []string{"6742c01e", "68ce3c80"}, false, false},
		{"an IDR picture", []string{"6742c01e", "6588840f"}, true, false},
		{"a P slice", []string{"419a2000"}, true, false}, // first_mb 0, slice_type 5
		{"a B slice", []string{"419f2000"}, true, true},  // slice_type 6
		{"a B slice behind a P slice", []string{"419a2000", "419f2000"}, true, true},
		{"a slice without its header", []string{"41"}, true, false},
		{"an empty unit", []string{""}, false, false},
	} {
		var au []byte
		for _, n := range c.nals {
			au = AppendNAL(au, unhex(t, n))
		}
		if s, b := AVCHasSlice(au), AVCHasB(au); s != c.slice || b != c.b {
			t.Errorf("%s: got slice %v, B %v, want %v, %v", c.name, s, b, c.slice, c.b)
		}
		if cut := append(au, 0, 0, 0, 9); AVCHasB(cut) != c.b {
			t.Errorf("%s, then cut short: got B %v, want %v", c.name, !c.b, c.b)
		}
	}
}

// TestHEVCOfEncoders reads the output of x265 in cropped sizes and in many formats.
func TestHEVCOfEncoders(t *testing.T) {
	for format, fields := range map[string][3]byte{ // chroma, luma, chroma depths
		"yuv420p": {1, 0, 0}, "yuv422p": {2, 0, 0}, "yuv444p": {3, 0, 0}, "gray": {0, 0, 0}, "yuv420p10le": {1, 2, 2}, "yuv444p12le": {3, 4, 4},
	} {
		t.Run(format, func(t *testing.T) {
			raw := encodeClip(t, "-pix_fmt "+format+" -c:v libx265 -preset ultrafast -x265-params log-level=none -f hevc")
			_, sets, err := HEVCKind(AppendAnnexB(nil, raw))
			if err != nil {
				t.Fatal(err)
			}
			record, err := NewHEVCConfig(sets)
			if err != nil {
				t.Fatal(err)
			}
			if got := [3]byte{record[16] & 3, record[17] & 7, record[18] & 7}; got != fields {
				t.Errorf("format: got %v, want %v", got, fields)
			}
			i, err := Describe(&packetbuf.Packet{Codec: packetbuf.HEVC, Payload: record})
			if err != nil || i.Width != 322 || i.Height != 182 {
				t.Errorf("got %+v, %v, want 322x182", i, err)
			}
		})
	}
}

func TestHEVCKind(t *testing.T) {
	for _, c := range []struct {
		name  string
		nals  []string
		want  packetbuf.Kind
		count [3]int
	}{
		{"nothing", nil, packetbuf.Delta, [3]int{}},
		{"IDR with sets", []string{hevcVPSHex, "420101", hevcPPSHex, "2601af"}, packetbuf.Key, [3]int{1, 1, 1}},
		{"CRA", []string{"2a01af"}, packetbuf.Key, [3]int{}},
		{"referenced trailing picture", []string{"0201af"}, packetbuf.Delta, [3]int{}},
		{"trailing picture that nothing refers to", []string{"0001af"}, packetbuf.Disposable, [3]int{}},
		{"leading picture that nothing refers to", []string{"1001af"}, packetbuf.Disposable, [3]int{}},
		{"one of each", []string{"0001af", "0201af"}, packetbuf.Delta, [3]int{}},
		{"sets alone", []string{hevcVPSHex, hevcPPSHex}, packetbuf.Delta, [3]int{1, 0, 1}},
		{"a byte", []string{"26"}, packetbuf.Delta, [3]int{}},
	} {
		var au []byte
		for _, n := range c.nals {
			au = AppendNAL(au, unhex(t, n))
		}
		kind, sets, err := HEVCKind(au)
		if err != nil || kind != c.want || [3]int{len(sets[0]), len(sets[1]), len(sets[2])} != c.count {
			t.Errorf("%s: got %s, %d %d %d sets, %v, want %s, %v sets", c.name, kind, len(sets[0]), len(sets[1]), len(sets[2]), err, c.want, c.count)
		}
		if got := HEVCHasSlice(au); got != (c.want != packetbuf.Delta || strings.Contains(c.name, "picture") || c.name == "one of each") {
			t.Errorf("%s: got has slice %v, want %v", c.name, got, !got)
		}
		if _, _, err := HEVCKind(append(au, 0, 0, 0, 1)); err == nil {
			t.Errorf("%s, then cut short: got no error", c.name)
		}
	}
}

func TestVPFrames(t *testing.T) {
	for _, c := range []struct {
		frame         string
		config        VPConfig
		key           bool
		width, height int
	}{
		{"", VPConfig{}, false, 0, 0},
		{"82498342000000", VPConfig{BitDepth: 8, Subsampling: 1}, true, 0, 0}, // cut off before its size
		{"824983420014000b40", VPConfig{BitDepth: 8, Subsampling: 1}, true, 0x140 + 1, 0xb4 + 1},
		{"86", VPConfig{}, false, 0, 0},             // not a keyframe
		{"8a", VPConfig{}, false, 0, 0},             // show_existing_frame
		{"82498343000000", VPConfig{}, false, 0, 0}, // no sync code
		{"42498342000000", VPConfig{}, false, 0, 0}, // no frame marker
	} {
		frame := unhex(t, c.frame)
		config, key := ParseVP9Frame(frame)
		w, h := VP9Size(frame)
		if key != c.key || key && config != c.config || w != c.width || h != c.height {
			t.Errorf("%s: got %+v, %v, %dx%d, want %+v, %v, %dx%d", c.frame, config, key, w, h, c.config, c.key, c.width, c.height)
		}
	}
	for frame, want := range map[string][2]int{
		"500300" + "9d012a" + "8002" + "6801": {640, 360},
		"500300" + "9d012a" + "8042" + "6881": {640, 360}, // scaled
		"510300" + "9d012a" + "8002" + "6801": {},
		"500300" + "9d012b" + "8002" + "6801": {},
		"500300" + "9d012a" + "8002" + "68":   {},
		"":                                    {},
	} {
		if w, h := VP8Size(unhex(t, frame)); [2]int{w, h} != want {
			t.Errorf("%s: got %dx%d, want %v", frame, w, h, want)
		}
	}
}

func TestAV1Units(t *testing.T) {
	const header = "0a0b0000000cc4ff6736be4010"
	for _, c := range []struct {
		name, unit, header, rest string
		key, bad                 bool
	}{
		{name: "nothing"},
		{name: "a keyframe", unit: "1200" + header + "320110", header: header, rest: header + "320110", key: true},
		{name: "a header before another frame", unit: "1200" + header + "320130", header: header, rest: header + "320130"},
		{name: "a frame that is shown again", unit: "12001a0180", rest: "1a0180"},
		{name: "a frame header and tiles", unit: "1a01102200", rest: "1a01102200", key: true},
		{name: "an OBU with an extension", unit: "3600" + "01" + "10", rest: "36000110", key: true},
		{name: "without a size", unit: "3010", bad: true},
		{name: "cut short", unit: "3209", bad: true},
		{name: "a size without an end", unit: "32ffffffffffffffffff", bad: true},
		{name: "an extension alone", unit: "36", bad: true},
	} {
		unit := unhex(t, c.unit)
		h, rest, err := AV1SequenceHeader(unit)
		if hex.EncodeToString(h) != c.header || hex.EncodeToString(rest) != c.rest || (err != nil) != c.bad {
			t.Errorf("%s: got %x, %x, %v, want %s, %s", c.name, h, rest, err, c.header, c.rest)
		}
		if got := AV1HasKey(unit); got != c.key {
			t.Errorf("%s: got key %v, want %v", c.name, got, c.key)
		}
	}
	for _, bad := range []string{"", "0a", "0a0b", "0a0b0000", "080000000cc4ff6736be4010", "320b0000000cc4ff6736be4010"} {
		if _, err := NewAV1Config(unhex(t, bad)); err == nil {
			t.Errorf("%s: got an av1C, want an error", bad)
		}
	}
}

// FuzzAccessUnits reads any bytes as media of WebRTC publishers. What is written from them can be
// read again.
func FuzzAccessUnits(f *testing.F) {
	for _, s := range []string{
		"", "00000018" + hevcVPSHex, "0000000442010160" + "00000003" + "2601af", "00000004" + "419f2000", "824983420014000b40", "a2498342a0140b40000000",
		"12000a0b0000000cc4ff6736be4010320110", "5003009d012a80026801",
		"01016000000090000000000099f000fcfdf8f800000f03a00001001840010c01ffff01600000030090000003000003003fba0240",
	} {
		b, err := hex.DecodeString(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = AVCHasB(b), AVCHasSlice(b)
		if _, sets, err := HEVCKind(b); err == nil {
			if record, err := NewHEVCConfig(sets); err == nil {
				wantHEVC(t, record, sets)
			}
		}
		_, _ = HEVCParameterSets(b)
		_, _ = hevcSize(b)
		if record, err := NewHEVCConfig(HEVCSets{{b}, {b}, {b}}); err == nil {
			wantHEVC(t, record, HEVCSets{{b}, {b}, {b}})
		}
		if header, rest, err := AV1SequenceHeader(b); err == nil {
			again, same, err := AV1SequenceHeader(rest)
			if err != nil || !bytes.Equal(again, header) || !bytes.Equal(same, rest) {
				t.Fatalf("read again: got %x, %x, %v, want %x, %x", again, same, err, header, rest)
			}
			_ = AV1HasKey(b)
		}
		if record, err := NewAV1Config(b); err == nil {
			if _, err := ParseAV1Config(record); err != nil || !bytes.Equal(record[4:], b) {
				t.Fatalf("av1C %x from %x: %v", record, b, err)
			}
			_, _ = av1Size(record)
		}
		if c, key := ParseVP9Frame(b); key && len(c.Append(nil)) != 8 {
			t.Fatalf("got %x, want a record of 8 bytes", c.Append(nil))
		}
		w, h := VP9Size(b)
		if x, y := VP8Size(b); max(w, x) > 1<<16 || max(h, y) > 1<<16 {
			t.Fatalf("got %dx%d, %dx%d, want at most 65536", w, h, x, y)
		}
	})
}

func wantHEVC(t *testing.T, record []byte, sets HEVCSets) {
	t.Helper()
	if _, err := ParseHEVCConfig(record); err != nil {
		t.Fatal(err)
	}
	var want []byte
	for _, list := range sets {
		for _, nal := range list {
			want = AppendNAL(want, nal)
		}
	}
	if got, err := HEVCParameterSets(record); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("got sets %x, %v, want %x", got, err, want)
	}
}
