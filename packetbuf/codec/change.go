package codec

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// DescribeChange returns the differences between two Config packets of a track as text for users, such as
// "size 1280x720 to 1920x1080, level 3.1 to 4". If none of the values that Describe reads differ, the text
// is "new parameters, same" and the format.
func DescribeChange(was, is *packetbuf.Packet) string {
	before, errBefore := Describe(was)
	after, errAfter := Describe(is)
	var parts []string
	differ := func(what, a, b string) {
		if a != b {
			parts = append(parts, strings.TrimSpace(what+" "+cmp.Or(a, "unknown")+" to "+cmp.Or(b, "unknown")))
		}
	}
	differ("", was.Codec.String(), is.Codec.String())
	switch {
	case errAfter != nil:
		return strings.Join(append(parts, "the new configuration cannot be read: "+errAfter.Error()), ", ")
	case errBefore != nil:
		before = Info{}
	}
	differ("size", before.size(), after.size())
	if was.Codec == is.Codec {
		differ("profile", before.Profile, after.Profile)
		differ("level", before.Level, after.Level)
	}
	differ("frame rate", formatFrameRate(before.FrameRate), formatFrameRate(after.FrameRate))
	differ("sample rate", formatHertz(before.SampleRate), formatHertz(after.SampleRate))
	differ("channels", formatCount(before.Channels), formatCount(after.Channels))
	if len(parts) > 0 {
		return strings.Join(parts, ", ")
	}
	if before.RFC6381 != after.RFC6381 {
		return fmt.Sprintf("%s %s to %s", is.Codec, cmp.Or(before.RFC6381, "unknown"), cmp.Or(after.RFC6381, "unknown"))
	}
	return "new parameters, same " + after.String()
}

// String returns the codec and the known parts of profile, level, size and rates, such as
// "H.264 High 3.1, 1280x720, 30 fps".
func (i Info) String() string {
	out := i.Codec.String()
	for _, s := range []string{i.Profile, i.Level} {
		if s != "" {
			out += " " + s
		}
	}
	if i.Channels > 0 {
		out += ", " + formatCount(i.Channels) + " channels"
	}
	for _, s := range []string{i.size(), formatFrameRate(i.FrameRate), formatHertz(i.SampleRate)} {
		if s != "" {
			out += ", " + s
		}
	}
	return out
}

func (i Info) size() string {
	if i.Width == 0 && i.Height == 0 {
		return ""
	}
	return fmt.Sprintf("%dx%d", i.Width, i.Height)
}

func formatFrameRate(fps float64) string {
	if fps == 0 {
		return ""
	}
	return strconv.FormatFloat(float64(int(fps*100+0.5))/100, 'f', -1, 64) + " fps"
}

func formatHertz(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n) + " Hz"
}

func formatCount(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}
