package hls

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	// variantWait is how long the multivariant playlist waits for the first playlists of
	// renditions.
	variantWait = time.Second
	// maxVariants is the maximum number of renditions in the multivariant playlist.
	maxVariants = 15
)

// variant is a stream in the multivariant playlist.
type variant struct {
	uri           string
	view          *view
	peak, average int // bits per second, measured
}

// variants returns the stream itself, followed by its renditions in the order of decreasing peak
// bitrate.
func (h *Handler) variants(ctx context.Context, stream string, own *view, q query) []variant {
	out := []variant{newVariant(mediaURI("", q), own)}
	if h.opts.Renditions == nil {
		return out
	}
	ctx, cancel := context.WithTimeout(ctx, variantWait)
	defer cancel()
	names := h.opts.Renditions(stream)
	channels := make([]*channel, 0, len(names))
	for _, name := range names[:min(len(names), maxVariants)] { // start all before waiting for each
		if c := h.channelFor(name); c != nil {
			c.touch()
			channels = append(channels, c)
		}
	}
	for _, c := range channels {
		v, err := c.await(ctx, func(*view) bool { return true })
		if err != nil || v.ended {
			continue
		}
		_, leaf, _ := strings.Cut(c.stream, "/")
		out = append(out, newVariant(mediaURI("../"+leaf+"/", q), v))
	}
	slices.SortStableFunc(out[1:], func(a, b variant) int { return b.peak - a.peak })
	return out
}

// newVariant returns a variant with the bitrates measured over the playlist of v.
func newVariant(uri string, v *view) variant {
	out := variant{uri: uri, view: v}
	sum := 0
	for _, s := range v.listed() {
		if s.duration > 0 {
			out.peak = max(out.peak, int(float64(s.bytes)*8/s.duration.Seconds()))
		}
		sum += s.bytes
	}
	out.average = max(1, int(float64(sum)*8/max(v.length(), time.Millisecond).Seconds()))
	out.peak = max(out.peak, out.average)
	return out
}

// frameRate returns the frame rate that the init section contains or, if it contains none, the
// measured one. It returns 0 if the rate is unknown or there is no video.
func (v *view) frameRate() float64 {
	frames := 0
	for _, s := range v.listed() {
		frames += s.frames
	}
	length := v.length()
	switch rate := v.info().FrameRate; {
	case frames == 0 || length <= 0:
		return 0
	case rate > 0:
		return rate
	default:
		return float64(frames) / length.Seconds()
	}
}

// multivariant renders a multivariant playlist.
func multivariant(all []variant) []byte {
	var b strings.Builder
	b.WriteString("#EXTM3U\n#EXT-X-VERSION:7\n")
	if !slices.ContainsFunc(all, func(one variant) bool { return !one.view.independent() }) {
		b.WriteString("#EXT-X-INDEPENDENT-SEGMENTS\n")
	}
	for _, one := range all {
		one.render(&b)
	}
	return []byte(b.String())
}

func (v variant) render(b *strings.Builder) {
	info := v.view.info()
	// HLS has its own name for MPEG-1 and MPEG-2 audio. Some players do not know the usual names.
	codecs := strings.Replace(strings.Replace(info.Codecs, "mp4a.6B", "mp4a.40.34", 1), "mp4a.69", "mp4a.40.34", 1)
	fmt.Fprintf(b, "#EXT-X-STREAM-INF:BANDWIDTH=%d,AVERAGE-BANDWIDTH=%d,CODECS=%q", v.peak, v.average, codecs)
	if info.Width > 0 {
		fmt.Fprintf(b, ",RESOLUTION=%dx%d", info.Width, info.Height)
	}
	if rate := v.view.frameRate(); rate > 0 {
		fmt.Fprintf(b, ",FRAME-RATE=%.3f", rate)
	}
	b.WriteString("\n" + v.uri + "\n")
}
