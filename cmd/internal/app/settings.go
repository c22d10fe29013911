package app

import (
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/holdfast-live/holdfast/configs"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/hub"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
	"github.com/holdfast-live/holdfast/relay/rendition"
	"github.com/holdfast-live/holdfast/relay/stream"
)

// settings holds the current configuration, and adapts it to the interfaces of the relay's
// packages.
type settings struct {
	cfg    atomic.Pointer[configs.Config]
	slates slates
	// returning holds the streams that are expected back after a restart.
	returning hub.Returning
}

func (s *settings) get() *configs.Config { return s.cfg.Load() }

var takeovers = map[string]lifecycle.Takeover{"auto": lifecycle.Auto, "always": lifecycle.Always, "never": lifecycle.Never}

// Stream implements hub.Settings.
func (s *settings) Stream(name string) stream.Config {
	c := s.get().Stream(name)
	out := stream.Config{
		FirstMedia: c.FirstMedia, Hold: c.Hold, HoldUnpublish: c.HoldUnpublish,
		Takeover: takeovers[c.Takeover], BackupReturn: c.BackupReturn, Freeze: c.Filler != "none", Slate: s.slate(c.Filler),
		Buffer:  packetbuf.Limits{Duration: c.Buffer.Duration, Bytes: int(c.Buffer.Bytes)},
		Segment: c.HLS.Segment,
		Gather:  stream.GatherAuto, Lag: c.Viewer.Lag,
	}
	if c.Silence != configs.Auto {
		out.Silence = time.Duration(c.Silence)
	}
	if c.Viewer.Gather != configs.Auto {
		out.Gather = time.Duration(c.Viewer.Gather)
	}
	return out
}

// PlayWait implements hub.Settings.
func (s *settings) PlayWait(name, protocol string) time.Duration {
	return max(s.get().Stream(name).PlayWait, graceWait(protocol, s.returning.Left(time.Now(), name)))
}

// renditions returns the configured renditions of a stream.
func (s *settings) renditions(name string) []rendition.Rendition {
	var out []rendition.Rendition
	for _, r := range s.get().Stream(name).Transcode {
		out = append(out, rendition.Rendition{Name: r.Name, Height: r.Height, Bits: r.Bits()})
	}
	return out
}

// PublishKeys implements admission.Rules.
func (s *settings) PublishKeys(name string) []string { return s.get().Stream(name).PublishKeys }

// PlaySecret implements admission.Rules.
func (s *settings) PlaySecret(name string) string { return s.get().Stream(name).PlaySecret }

// openWarning returns a warning if publishing or playing is open to everyone, with the streams that this
// concerns. It returns "" if neither is open for any stream.
func openWarning(c *configs.Config) string {
	publish, play := c.Open()
	if publish.All && play.All {
		return "publishing and playing are open to everyone; set defaults.publish_keys and defaults.play_secret to close them"
	}
	var out []string
	for _, s := range []string{describeOpen("publishing", "publish_keys", publish), describeOpen("playing", "play_secret", play)} {
		if s != "" {
			out = append(out, s)
		}
	}
	return strings.Join(out, "; ")
}

// describeOpen returns the part of the text of openWarning for one action, or "" if that is not open. what
// is "publishing" or "playing", and key the configuration key that restricts it.
func describeOpen(what, key string, o configs.IsOpen) string {
	var to []string
	for _, pattern := range o.Which {
		to = append(to, strconv.Quote(pattern))
	}
	where := "there"
	switch {
	case o.All:
		return fmt.Sprintf("%s is open to everyone; set defaults.%s to close it", what, key)
	case o.Others && len(to) == 0:
		to, where = []string{"all streams that no pattern of streams matches"}, "in defaults"
	case o.Others:
		to, where = append(to, "all streams that no pattern of streams matches"), "there and in defaults"
	case len(to) == 0:
		return ""
	}
	return fmt.Sprintf("%s is open to everyone for %s; set %s %s to close it", what, strings.Join(to, ", "), key, where)
}

// heartbeat returns the configured interval between pings to the publisher and the viewers of a stream, or
// 0 if it is auto.
func (s *settings) heartbeat(app, name string) time.Duration {
	return fixed(s.get().Stream(app + "/" + name).Heartbeat)
}

// viewerWriteTimeout returns how long a write to a viewer of a stream may block.
func (s *settings) viewerWriteTimeout(app, name string) time.Duration {
	return s.get().Stream(app + "/" + name).Viewer.WriteTimeout
}

// fixed returns the duration of a setting, or 0 if it is auto.
func fixed(d configs.AutoDuration) time.Duration {
	if d == configs.Auto {
		return 0
	}
	return time.Duration(d)
}
