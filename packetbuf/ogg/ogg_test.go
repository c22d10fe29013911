package ogg

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

var stereo = codec.OpusHead{Channels: 2, PreSkip: 312, Rate: 48000}

// packets are some of Opus, by their lengths: 20 ms of CELT.
func packets(lengths ...int) (out [][]byte) {
	for i, n := range lengths {
		p := bytes.Repeat([]byte{byte(i)}, n)
		p[0] = 0xfc
		out = append(out, p)
	}
	return out
}

func written(t interface{ Fatal(...any) }, head codec.OpusHead, packets [][]byte) (out []byte) {
	w := NewWriter(head)
	for _, p := range packets {
		var err error
		if out, err = w.Append(out, p); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func read(b []byte) (head codec.OpusHead, packets [][]byte, err error) {
	r := NewReader(bytes.NewReader(b))
	for {
		p, err := r.Next()
		if err != nil {
			return r.Head(), packets, err
		}
		packets = append(packets, p)
	}
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := packets(rapid.SliceOfN(rapid.SampledFrom([]int{1, 3, 254, 255, 256, 510, 1275, mostPacket}), 1, 20).Draw(t, "lengths")...)
		head, got, err := read(written(t, stereo, want))
		if !errors.Is(err, io.EOF) || head != stereo {
			t.Fatalf("%+v, %v", head, err)
		}
		if !slices.EqualFunc(got, want, bytes.Equal) {
			t.Fatalf("%d packets of %d", len(got), len(want))
		}
	})
}

// A packet may go over pages, and a page hold many packets.
func TestPagesAndPackets(t *testing.T) {
	long := bytes.Repeat([]byte{0xfc}, 3*segment)
	flat := func(p page, laces string, body []byte) []byte {
		b := p.append(nil, nil)
		b = append(b[:pageHeader-1], byte(len(laces)))
		b = append(append(b, laces...), body...)
		clear(b[22:26])
		sum := checksum(0, b)
		copy(b[22:], []byte{byte(sum), byte(sum >> 8), byte(sum >> 16), byte(sum >> 24)})
		return b
	}
	file := page{flags: first}.append(nil, stereo.Append(nil))
	file = page{sequence: 1}.append(file, []byte("OpusTags"))
	file = append(file, flat(page{serial: 9}, "\x01", []byte("x"))...) // somebody else's
	file = append(file, flat(page{sequence: 2}, "\x01\x02\xff\xff", append([]byte{0xfc, 0xfc, 1}, long[:2*segment]...))...)
	file = append(file, flat(page{sequence: 3, flags: continued}, "\xff\x00", long[2*segment:])...)
	_, got, err := read(file)
	if !errors.Is(err, io.EOF) || !slices.EqualFunc(got, [][]byte{{0xfc}, {0xfc, 1}, long}, bytes.Equal) {
		t.Errorf("%d packets, %v", len(got), err)
	}
}

func TestWhatIsBroken(t *testing.T) {
	good := written(t, stereo, packets(3, 300))
	flip := func(at int) []byte { b := slices.Clone(good); b[at] ^= 1; return b }
	tags := page{flags: first}.append(nil, stereo.Append(nil))
	for name, c := range map[string]struct {
		in   []byte
		want error
	}{
		"nothing": {nil, io.EOF}, "cut in a header": {good[:10], io.ErrUnexpectedEOF}, "cut in a table": {good[:27], io.ErrUnexpectedEOF},
		"cut in a body": {good[:len(good)-1], io.ErrUnexpectedEOF}, "no page": {flip(0), ErrMalformed},
		"a wrong byte": {flip(len(good) - 1), ErrMalformed}, "another first": {page{}.append(nil, []byte("vorbis")), ErrMalformed},
		"no comments": {page{sequence: 1}.append(slices.Clone(tags), []byte("x")), ErrMalformed},
		"a lost page": {page{sequence: 2}.append(slices.Clone(tags), []byte("OpusTags")), ErrMalformed},
	} {
		if _, _, err := read(c.in); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if out, err := NewWriter(stereo).Append(nil, nil); err == nil || len(out) > 0 {
		t.Error("an empty packet was written")
	}
	if out, err := NewWriter(stereo).Append(nil, bytes.Repeat([]byte{0xfc}, mostPacket+1)); err == nil || len(out) > 0 {
		t.Error("a packet that fits no page was written")
	}
}

// ffmpeg reads what is written, and what it writes is read.
func TestWithFFmpeg(t *testing.T) {
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("ffmpeg is not installed")
		}
		t.Skip("ffmpeg is not installed")
	}
	run := func(in []byte, args string) []byte {
		cmd := exec.Command("ffmpeg", append([]string{"-v", "warning", "-xerror"}, strings.Fields(args)...)...)
		var stderr bytes.Buffer
		cmd.Stdin, cmd.Stderr = bytes.NewReader(in), &stderr
		out, err := cmd.Output()
		if err != nil || stderr.Len() > 0 {
			t.Fatalf("%v: %s", err, &stderr)
		}
		return out
	}
	file := run(nil, "-f lavfi -i sine=r=48000:d=0.5 -ac 1 -c:a libopus -b:a 64k -page_duration 20000 -f ogg -")
	head, got, err := read(file)
	if !errors.Is(err, io.EOF) || head.Channels != 1 || head.PreSkip != 312 || len(got) < 25 || len(got) > 27 {
		t.Fatalf("%+v, %d packets, %v", head, len(got), err)
	}
	head.PreSkip = 0
	if pcm := run(written(t, head, got), "-f ogg -i - -f s16le -"); len(pcm) != 2*960*len(got) {
		t.Errorf("%d packets gave %d samples", len(got), len(pcm)/2)
	}
}

func FuzzReader(f *testing.F) {
	f.Add(written(f, stereo, packets(3, 255, 1275)))
	f.Add(page{flags: first}.append(nil, []byte("OpusHead")))
	f.Fuzz(func(t *testing.T, b []byte) {
		head, got, _ := read(b)
		var valid [][]byte
		for _, p := range got {
			if _, err := codec.OpusSamples(p); err == nil && len(p) <= mostPacket {
				valid = append(valid, p)
			}
		}
		if len(valid) == 0 {
			return
		}
		again, packets, err := read(written(t, head, valid))
		if !errors.Is(err, io.EOF) || again != head || !slices.EqualFunc(packets, valid, bytes.Equal) {
			t.Fatalf("%d packets became %d: %v", len(valid), len(packets), err)
		}
	})
}
