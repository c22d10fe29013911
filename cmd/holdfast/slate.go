package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-live/holdfast/cmd/internal/app"
)

const (
	// slateTimeout is the timeout of the whole command. ffmpeg only encodes a few seconds of a still image.
	slateTimeout = 2 * time.Minute
	slateSeconds = 4
	// slateRate is the frame rate if that of the stream is unknown or out of range.
	slateRate = 25
)

func slateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "slate STREAM",
		Short: "Make a clip to be played while a stream is held, with ffmpeg",
		Long: "slate asks the running relay for the parameters of a live stream {app}/{name}, and has ffmpeg make\n" +
			"a clip like it that shows a text. Its file is for the stream's filler.",
		Args: oneStream,
		RunE: runSlate,
	}
	adminFlags(cmd)
	cmd.Flags().String("token", "", "the same as --admin.token")
	cmd.Flags().String("text", "We will be right back", "what it shows")
	cmd.Flags().String("out", "slate.flv", "the file to write, FLV")
	return cmd
}

func runSlate(cmd *cobra.Command, args []string) error {
	flag := func(name string) string { v, _ := cmd.Flags().GetString(name); return v } // the flags exist
	parent := cmd.Context()
	if parent == nil {
		parent = context.Background()
	}
	ctx, cancel := context.WithTimeout(parent, slateTimeout)
	defer cancel()
	out := flag("out")
	if !strings.HasSuffix(out, ".flv") {
		return fmt.Errorf("--out %q does not end in .flv", out)
	}
	admin, token, err := adminOf(cmd)
	if err != nil {
		return err
	}
	tracks, err := askTracks(ctx, admin, cmp.Or(flag("token"), token), args[0])
	if err != nil {
		return err
	}
	arguments, err := slateArguments(tracks, flag("text"), out)
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	said, err := exec.CommandContext(ctx, "ffmpeg", arguments...).CombinedOutput() //nolint:gosec // numbers, names of ours, and what the operator has said
	if err != nil {
		return fmt.Errorf("ffmpeg: %w\n%s", err, said)
	}
	if err := app.CheckSlate(out); err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s created; set filler: %s for %s\n", out, out, args[0])
	return nil
}

// streamTrack holds the fields of a track in the API that the slate command needs.
type streamTrack struct {
	Codec      string  `json:"codec"`
	Profile    string  `json:"profile"`
	Width      int     `json:"width"`
	Height     int     `json:"height"`
	FrameRate  float64 `json:"frame_rate"`
	SampleRate int     `json:"sample_rate"`
	Channels   int     `json:"channels"`
}

// askTracks requests the tracks of the stream name from the running relay.
func askTracks(ctx context.Context, admin *url.URL, token, name string) ([]streamTrack, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, admin.JoinPath("/api/v1/streams", name).String(), nil)
	if err != nil {
		return nil, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, noAnswer(admin, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("get tracks of %s: %s; the stream must be live", name, resp.Status)
	}
	var s struct {
		Tracks []streamTrack `json:"tracks"`
	}
	err = json.NewDecoder(resp.Body).Decode(&s)
	return s.Tracks, err
}

// slateProfiles maps the relay's names of H.264 profiles to ffmpeg's names of profile and pixel format.
var slateProfiles = map[string][]string{
	"Constrained Baseline":  {"baseline", "yuv420p"},
	"Baseline":              {"baseline", "yuv420p"},
	"Main":                  {"main", "yuv420p"},
	"High":                  {"high", "yuv420p"},
	"High 10":               {"high10", "yuv420p10le"},
	"High 4:2:2":            {"high422", "yuv422p"},
	"High 4:4:4 Predictive": {"high444", "yuv444p"},
}

// slateArguments returns the ffmpeg arguments for a clip with the parameters of the given tracks.
func slateArguments(tracks []streamTrack, text, out string) ([]string, error) {
	var video, audio *streamTrack
	for i := range tracks {
		if t := &tracks[i]; t.Width > 0 {
			video = t
		} else if t.SampleRate > 0 {
			audio = t
		}
	}
	if video == nil || video.Codec != "H.264" {
		return nil, errors.New("a slate requires a stream with H.264 video")
	}
	profile, ok := slateProfiles[video.Profile]
	if !ok {
		return nil, fmt.Errorf("slates in profile %s are not supported", video.Profile)
	}
	rate := video.FrameRate
	if rate < 1 || rate > 120 {
		rate = slateRate
	}
	fps := strconv.FormatFloat(rate, 'f', -1, 64)
	seconds := strconv.Itoa(slateSeconds)
	args := []string{
		"-hide_banner", "-nostdin", "-v", "error", "-y",
		"-f", "lavfi", "-i", fmt.Sprintf("color=c=0x181818:size=%dx%d:rate=%s:duration=%s", video.Width, video.Height, fps, seconds),
	}
	withAudio := audio != nil && audio.Codec == "AAC"
	if withAudio {
		args = append(args, "-f", "lavfi", "-i", fmt.Sprintf("anullsrc=sample_rate=%d:channel_layout=%dc:duration=%s", audio.SampleRate, audio.Channels, seconds))
		if audio.Channels <= 2 {
			args[len(args)-1] = fmt.Sprintf("anullsrc=sample_rate=%d:channel_layout=%s:duration=%s", audio.SampleRate, []string{1: "mono", 2: "stereo"}[max(1, audio.Channels)], seconds)
		}
	}
	gop := strconv.Itoa(int(2*rate + 0.5))
	args = append(args, "-vf", "drawtext=text="+drawn(text)+":expansion=none:fontcolor=white:fontsize=h/12:x=(w-text_w)/2:y=(h-text_h)/2",
		"-c:v", "libx264", "-profile:v", profile[0], "-pix_fmt", profile[1], "-preset", "medium", "-bf", "0", "-g", gop, "-keyint_min", gop, "-sc_threshold", "0")
	if withAudio {
		args = append(args, "-c:a", "aac", "-b:a", "64k")
	}
	return append(args, "-t", seconds, "-f", "flv", out), nil
}

// drawn escapes a text for use as a filter option in an ffmpeg filter graph, which is unescaped twice.
func drawn(text string) string {
	once := strings.NewReplacer(`\`, `\\`, `'`, `\'`, `:`, `\:`).Replace(text)
	return strings.NewReplacer(`\`, `\\`, `'`, `\'`, `,`, `\,`, `;`, `\;`, `[`, `\[`, `]`, `\]`).Replace(once)
}
