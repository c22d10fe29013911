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

var stereoHead = codec.OpusHead{Channels: 2, PreSkip: 312, Rate: 48000}

// packets returns Opus packets of the given lengths, each 20 ms of CELT.
func packets(lengths ...int) (out [][]byte) {
	for i, n := range lengths {
		p := bytes.Repeat([]byte{byte(i)}, n)
		p[0] = 0xfc
		out = append(out, p)
	}
	return out
}

func writeAll(t interface{ Fatal(...any) }, head codec.OpusHead, packets [][]byte) (out []byte) {
	w := NewWriter(head)
	for _, p := range packets {
		var err error
		if out, err = w.Append(out, p); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func readAll(b []byte) (head codec.OpusHead, packets [][]byte, err error) {
	r := NewReader(bytes.NewReader(b))
	for {
		p, err := r.Next()
		if err != nil {
			return r.Head(), packets, err
		}
		packets = append(packets, p)
	}
}

func TestWriterOutputIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := packets(rapid.SliceOfN(rapid.SampledFrom([]int{1, 3, 254, 255, 256, 510, 1275, maxPagePacket}), 1, 20).Draw(t, "lengths")...)
		head, got, err := readAll(writeAll(t, stereoHead, want))
		if !errors.Is(err, io.EOF) || head != stereoHead {
			t.Fatalf("got %+v, %v, want %+v, io.EOF", head, err, stereoHead)
		}
		if !slices.EqualFunc(got, want, bytes.Equal) {
			t.Fatalf("got %d packets, want %d as written", len(got), len(want))
		}
	})
}

// A packet may extend over pages, and a page may hold many packets.
func TestPagesAndPackets(t *testing.T) {
	long := bytes.Repeat([]byte{0xfc}, 3*segmentSize)
	flat := func(p page, laces string, body []byte) []byte {
		b := p.append(nil, nil)
		b = append(b[:pageHeaderSize-1], byte(len(laces)))
		b = append(append(b, laces...), body...)
		clear(b[22:26])
		sum := checksum(0, b)
		copy(b[22:], []byte{byte(sum), byte(sum >> 8), byte(sum >> 16), byte(sum >> 24)})
		return b
	}
	file := page{flags: firstPage}.append(nil, stereoHead.Append(nil))
	file = page{sequence: 1}.append(file, []byte("OpusTags"))
	file = append(file, flat(page{serial: 9}, "\x01", []byte("x"))...) // another stream's
	file = append(file, flat(page{sequence: 2}, "\x01\x02\xff\xff", append([]byte{0xfc, 0xfc, 1}, long[:2*segmentSize]...))...)
	file = append(file, flat(page{sequence: 3, flags: continued}, "\xff\x00", long[2*segmentSize:])...)
	_, got, err := readAll(file)
	if !errors.Is(err, io.EOF) || !slices.EqualFunc(got, [][]byte{{0xfc}, {0xfc, 1}, long}, bytes.Equal) {
		t.Errorf("got %d packets, %v, want 3", len(got), err)
	}
}

func TestMalformed(t *testing.T) {
	good := writeAll(t, stereoHead, packets(3, 300))
	flip := func(at int) []byte { b := slices.Clone(good); b[at] ^= 1; return b }
	tags := page{flags: firstPage}.append(nil, stereoHead.Append(nil))
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
		if _, _, err := readAll(c.in); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	if out, err := NewWriter(stereoHead).Append(nil, nil); err == nil || len(out) > 0 {
		t.Error("empty packet: got a page, want an error")
	}
	if out, err := NewWriter(stereoHead).Append(nil, bytes.Repeat([]byte{0xfc}, maxPagePacket+1)); err == nil || len(out) > 0 {
		t.Error("packet that does not fit a page: got a page, want an error")
	}
}

// ffmpeg reads the Writer's output, and the Reader reads ffmpeg's.
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
	head, got, err := readAll(file)
	if !errors.Is(err, io.EOF) || head.Channels != 1 || head.PreSkip != 312 || len(got) < 25 || len(got) > 27 {
		t.Fatalf("got %+v, %d packets, %v", head, len(got), err)
	}
	head.PreSkip = 0
	if pcm := run(writeAll(t, head, got), "-f ogg -i - -f s16le -"); len(pcm) != 2*960*len(got) {
		t.Errorf("%d packets: got %d samples, want %d", len(got), len(pcm)/2, 960*len(got))
	}
}

func FuzzReader(f *testing.F) {
	f.Add(writeAll(f, stereoHead, packets(3, 255, 1275)))
	f.Add(page{flags: firstPage}.append(nil, []byte("OpusHead")))
	f.Fuzz(func(t *testing.T, b []byte) {
		head, got, _ := readAll(b)
		var valid [][]byte
		for _, p := range got {
			if _, err := codec.OpusSamples(p); err == nil && len(p) <= maxPagePacket {
				valid = append(valid, p)
			}
		}
		if len(valid) == 0 {
			return
		}
		again, packets, err := readAll(writeAll(t, head, valid))
		if !errors.Is(err, io.EOF) || again != head || !slices.EqualFunc(packets, valid, bytes.Equal) {
			t.Fatalf("got %d packets, %v, want %d as written", len(packets), err, len(valid))
		}
	})
}
