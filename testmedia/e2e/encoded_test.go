//go:build unix

package e2e

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/bluenviron/gortmplib/pkg/rawmessage"
)

// codedTrack is a track from an encoder.
type codedTrack struct {
	fourCC string
	video  bool
	config []byte // in the form of Enhanced RTMP; nil: none
	frames []codedFrame
	wrap   func(body []byte) []byte // wraps each body; nil: not wrapped
}

// inMultitrack wraps a video body in a multitrack body with one track.
func inMultitrack(id byte) func([]byte) []byte {
	return func(b []byte) []byte {
		out := append([]byte{b[0]&0xf0 | 6, b[0] & 0x0f}, b[1:5]...)
		return append(append(out, id), b[5:]...)
	}
}

// withModifier puts a nanosecond offset modifier in front of a video body.
func withModifier(b []byte) []byte {
	return append([]byte{b[0]&0xf0 | 7, 2, 0, 0, 7, b[0] & 0x0f}, b[1:]...)
}

type codedFrame struct {
	dts, cto time.Duration // in whole milliseconds
	key      bool
	payload  []byte
}

// configBoxes are the boxes with the configuration of each codec.
var configBoxes = map[string]string{"hvc1": "hvcC", "av01": "av1C", "vp09": "vpcC", "Opus": "dOps", "fLaC": "dfLa"}

// encode encodes a track with ffmpeg into a file; ffprobe returns the positions of its frames.
func encode(t testing.TB, fourCC string, args ...string) codedTrack {
	t.Helper()
	c := codedTrack{fourCC: fourCC}
	name, skip := "track.mp4", int64(0)
	if fourCC == "vp08" { // ffmpeg supports no VP8 in MP4; IVF has twelve bytes before each frame
		name, skip = "track.ivf", 12
	}
	file := filepath.Join(t.TempDir(), name)
	runProgram(t, "ffmpeg", slices.Concat([]string{"-nostdin", "-v", "error"}, args, []string{"-movflags", "+faststart", file})...)
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	output, err := exec.CommandContext(waitContext(t), "ffprobe", "-v", "error", "-of", "json", "-show_packets", "-show_streams", file).Output()
	if err != nil {
		t.Fatal(err)
	}
	var probe struct {
		Streams []struct {
			Kind string `json:"codec_type"`
		}
		Packets []struct {
			PTS   string `json:"pts_time"`
			DTS   string `json:"dts_time"`
			Pos   string
			Size  string
			Flags string
		}
	}
	if err := json.Unmarshal(output, &probe); err != nil || len(probe.Streams) != 1 {
		t.Fatalf("%v\n%s", err, output)
	}
	c.video = probe.Streams[0].Kind == "video"
	if kind := configBoxes[fourCC]; kind != "" {
		c.config = configOf(t, kind, b)
	}
	millis := func(s string) time.Duration {
		f, _ := strconv.ParseFloat(s, 64)
		return time.Duration(math.Round(1000*f)) * time.Millisecond
	}
	for _, p := range probe.Packets {
		at, _ := strconv.ParseInt(p.Pos, 10, 64)
		size, _ := strconv.ParseInt(p.Size, 10, 64)
		if at += skip; at <= 0 || size <= 0 || at+size > int64(len(b)) {
			t.Fatalf("got a frame of %d bytes at %d of %d", size, at, len(b))
		}
		dts := millis(cmp.Or(p.DTS, p.PTS))
		c.frames = append(c.frames, codedFrame{dts, millis(p.PTS) - dts, p.Flags[0] == 'K', b[at : at+size]})
	}
	early := c.frames[0].dts
	for i := range c.frames {
		c.frames[i].dts -= early
	}
	return c
}

// configOf converts the configuration box of a file to the form of Enhanced RTMP.
func configOf(t testing.TB, kind string, file []byte) []byte {
	t.Helper()
	at := bytes.Index(file, []byte(kind))
	if at < 4 {
		t.Fatalf("no %s in the file", kind)
	}
	b := file[at+4 : at-4+int(binary.BigEndian.Uint32(file[at-4:]))]
	switch kind {
	case "vpcC":
		return b[4:] // without the box's version and flags
	case "dfLa":
		return append([]byte("fLaC"), b[4:]...)
	case "dOps": // OpusHead has the other byte order
		head := append([]byte("OpusHead\x01"), b[1])
		head = binary.LittleEndian.AppendUint16(head, binary.BigEndian.Uint16(b[2:]))
		head = binary.LittleEndian.AppendUint32(head, binary.BigEndian.Uint32(b[4:]))
		head = binary.LittleEndian.AppendUint16(head, binary.BigEndian.Uint16(b[8:]))
		return append(head, b[10:]...)
	}
	return b
}

// configBody and body return message bodies of Enhanced RTMP v2.
func (c *codedTrack) configBody() []byte {
	first := byte(0x90) // a keyframe, or sound format 9; SequenceStart for both
	return append(append([]byte{first}, c.fourCC...), c.config...)
}

func (c *codedTrack) body(f codedFrame) []byte {
	if !c.video {
		return append(append([]byte{0x91}, c.fourCC...), f.payload...)
	}
	first := byte(0xa1)
	if f.key {
		first = 0x91
	}
	b := append([]byte{first}, c.fourCC...)
	if c.fourCC == "hvc1" {
		ms := f.cto.Milliseconds()
		b = append(b, byte(ms>>16), byte(ms>>8), byte(ms))
	}
	return append(b, f.payload...)
}

func (c *codedTrack) message(at time.Duration, body []byte) *rawmessage.Message {
	if c.wrap != nil {
		body = c.wrap(body)
	}
	if c.video {
		return &rawmessage.Message{ChunkStreamID: 6, Type: typeVideo, MessageStreamID: streamID, Timestamp: at, Body: body}
	}
	return &rawmessage.Message{ChunkStreamID: 4, Type: typeAudio, MessageStreamID: streamID, Timestamp: at, Body: body}
}

// sendCoded pushes tracks in real time until stop is closed or they end.
func sendCoded(c *client, stop <-chan struct{}, tracks ...codedTrack) error {
	type due struct {
		track *codedTrack
		frame codedFrame
	}
	var all []due
	for i := range tracks {
		tr := &tracks[i]
		if tr.config != nil {
			if err := c.write(tr.message(0, tr.configBody())); err != nil {
				return err
			}
		}
		for _, f := range tr.frames {
			all = append(all, due{tr, f})
		}
	}
	slices.SortStableFunc(all, func(a, b due) int { return cmp.Compare(a.frame.dts, b.frame.dts) })
	origin, timer := time.Now(), time.NewTimer(0)
	defer timer.Stop()
	for _, d := range all {
		timer.Reset(time.Until(origin.Add(d.frame.dts)))
		select {
		case <-stop:
			return nil
		case <-timer.C:
		}
		if err := c.write(d.track.message(d.frame.dts, d.track.body(d.frame))); err != nil {
			return err
		}
	}
	return nil
}
