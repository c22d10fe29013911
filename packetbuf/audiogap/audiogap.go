// Package audiogap fills gaps in an audio track with silence, so that players of a muxed file or
// connection always get both tracks.
//
// A gap is filled when video has passed it by more than the usual distance between the tracks, or
// when the audio frame after the gap arrives. Real audio is late if silence already covers its time;
// late audio is dropped.
//
// The package is pure: it returns the silence that is due, and all times are on the stream's clock.
package audiogap

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

const (
	// Margin is how far, beyond the learned interleave, video must pass a gap before the gap is
	// filled.
	Margin = 200 * time.Millisecond
	// maxConcealable is the longest gap that is left for players to conceal. With such a gap, the decode
	// times of the frames around it are less than 100 ms apart.
	maxConcealable = 60 * time.Millisecond
	// minPause is the shortest step of video that counts as a pause of the whole publisher, which
	// is not an audio gap. At a low frame rate the step must also exceed three frames.
	minPause = 1500 * time.Millisecond
	// maxSilence bounds the silence returned by one call.
	maxSilence = 10 * time.Second
	// maxFrameLead bounds how far the end of the audio, as computed from frame durations, may run ahead
	// of its timestamps. Some encoders give a batch of frames the same timestamp.
	maxFrameLead = time.Second
	// rounding is the largest rounding error of timestamps given in whole milliseconds.
	rounding = 2 * time.Millisecond
	// maxAudioLead is how far the first audio of a session may precede its video.
	maxAudioLead = 10 * time.Second
)

// Track follows one audio track and the video beside it. The zero value returns no silence: it has no
// audio configuration yet.
type Track struct {
	// Slack is added to Margin. A reader of a stream whose gaps are filled upstream sets it, to wait for
	// that silence instead of adding its own.
	Slack time.Duration

	codec   packetbuf.Codec
	frame   []byte // one silent frame; nil if none is known for the codec
	samples int64  // in a silent frame
	rate    int64  // samples per second
	config  *packetbuf.Packet

	started         bool
	hadAudio        bool          // viewers have had audio
	end             time.Duration // end of the audio, real or silence
	lastIsSilence   bool          // the newest frame is silence
	sessionStarting bool          // an earlier session had audio, and none has arrived since Begin
	lastReal        time.Duration // DTS of the newest real frame, including late ones
	runStart        time.Duration // start of the newest run of silence
	runFrames       int64         // frames in that run
	videoDTS        time.Duration // DTS of the newest video packet
	videoStep       time.Duration // between the newest two video packets
	hasVideo        bool          // a video packet has arrived
	lag             interleave
	out             []*packetbuf.Packet
}

// Configure sets the decoder configuration in force; nil means none. It does not change the end of
// the audio.
func (t *Track) Configure(config *packetbuf.Packet) {
	t.config, t.frame, t.codec = config, nil, packetbuf.NoCodec
	if frame, ok := codec.Silence(config); ok {
		samples, rate := codec.AudioFrameDuration(config)
		if samples > 0 && rate > 0 {
			t.frame, t.codec, t.samples, t.rate = frame, config.Codec, int64(samples), int64(rate)
		}
	}
	t.startRun()
}

// Able reports whether the package can make silence for the configuration in force.
func (t *Track) Able() bool { return t.frame != nil }

// Frame returns a silent frame for the configuration in force, and the number of samples in it. It
// returns nil if the package cannot make silence for that configuration.
func (t *Track) Frame() (frame []byte, samples int64) { return t.frame, t.samples }

// Begin records that a session begins, or a splice occurs, at time at. If the audio so far ends more
// than minPause before that time, audio is expected from then on; otherwise from the end of the audio.
func (t *Track) Begin(at time.Duration) {
	if !t.started || at-t.end > minPause { // otherwise silence continues from the end of the audio
		t.end = max(t.end, at)
	}
	t.sessionStarting = t.hadAudio
	t.started, t.lastReal = true, at-maxAudioLead
	t.startRun()
	t.hasVideo = false
}

// Reach records that the audio extends to time end. It is for frames that are not passed to Audio,
// such as filler.
func (t *Track) Reach(end time.Duration) {
	if end > t.end {
		t.started, t.hadAudio, t.end = true, true, end
		t.startRun()
	}
}

// End returns the end of the audio, and whether it is known: false until the first audio or Begin.
func (t *Track) End() (time.Duration, bool) { return t.end, t.started }

// startRun starts a new run of silence at the end of the audio.
func (t *Track) startRun() { t.runStart, t.runFrames = t.end, 0 }

// Video records a video packet with decode time dts and returns the silence that is due before it.
// The result is valid until the next call.
func (t *Track) Video(dts time.Duration) []*packetbuf.Packet {
	was, step, seen := t.videoDTS, t.videoStep, t.hasVideo
	if !seen || dts > t.videoDTS {
		t.videoDTS, t.hasVideo = dts, true
	}
	if !seen {
		return nil
	}
	if t.videoStep = dts - was; t.videoStep > max(minPause, 3*step) {
		if resumed := min(t.end+t.videoStep-step, dts-t.lag.learned()); t.started && resumed > t.end {
			t.end = resumed // both tracks have this gap, so it is not an audio gap
			t.startRun()
		}
		return nil
	}
	t.videoStep = max(t.videoStep, 0)
	return t.Fill(dts - t.lag.learned() - Margin - t.Slack)
}

// Fill returns silence from the end of the audio up to time to, at most the last 10 seconds of it.
// The result is valid until the next call.
func (t *Track) Fill(to time.Duration) []*packetbuf.Packet {
	t.out = t.out[:0]
	if t.frame == nil || !t.started {
		return nil
	}
	if to-t.end > maxSilence {
		t.end = to - maxSilence
		t.startRun()
	}
	for t.runStart+t.silenceDuration(t.runFrames+1) <= to {
		t.out = append(t.out, &packetbuf.Packet{
			Track: packetbuf.Audio, Codec: t.codec, Kind: packetbuf.Delta, Flags: packetbuf.Filler,
			DTS: (t.runStart + t.silenceDuration(t.runFrames)).Truncate(time.Millisecond), Payload: t.frame,
		})
		t.runFrames++
		t.end, t.lastIsSilence = t.runStart+t.silenceDuration(t.runFrames), true
	}
	return t.out
}

// silenceDuration returns the duration of n silent frames. Counting from the start of a run keeps rounding
// errors from adding up.
func (t *Track) silenceDuration(n int64) time.Duration {
	return time.Duration(n * t.samples * int64(time.Second) / t.rate)
}

// Late reports whether audio with decode time dts falls within silence already returned. It remembers
// how late the audio was and waits that long in future, so that a publisher whose audio is always late
// loses no more of it. Audio before the newest real audio does not count as late: its clock has
// restarted.
func (t *Track) Late(dts time.Duration) bool {
	if !t.lastIsSilence || dts >= t.end-rounding || dts <= t.lastReal {
		return false
	}
	t.lastReal = dts
	t.learn(dts)
	return true
}

// Audio records a real audio frame and returns the silence to send before it. The frame's DTS must be
// on the stream's clock, and Late must have returned false for it. The result is valid until the next
// call.
func (t *Track) Audio(p *packetbuf.Packet) []*packetbuf.Packet {
	t.learn(p.DTS)
	var out []*packetbuf.Packet
	switch gap := p.DTS - t.end; {
	case !t.started:
	case t.hasVideo && p.DTS-t.videoDTS > max(minPause, 3*t.videoStep): // video has paused as well
	case t.frame == nil:
	case gap > maxConcealable, (t.lastIsSilence || t.sessionStarting) && gap > 0:
		// A player that skips a gap plays its audio early from then on; one that plays overlapping frames
		// in full plays it late. Filling to the nearest frame limits this to half a frame per gap.
		out = t.Fill(p.DTS + max(t.silenceDuration(1)/2, rounding))
	}
	own := t.frameDuration(p)
	if batch := t.started && p.DTS+own/2 < t.end; batch {
		t.end = min(t.end, p.DTS+maxFrameLead) + own
	} else {
		t.end = p.DTS + own
	}
	t.started, t.hadAudio, t.lastIsSilence, t.sessionStarting, t.lastReal = true, true, false, false, p.DTS
	t.startRun()
	return out
}

func (t *Track) learn(dts time.Duration) {
	if t.hasVideo {
		t.lag.add(t.videoDTS, t.videoDTS-dts)
	}
}

// frameDuration returns the duration of a real frame.
func (t *Track) frameDuration(p *packetbuf.Packet) time.Duration {
	of := p
	if p.Codec == packetbuf.AAC {
		of = t.config
	}
	if samples, rate := codec.AudioFrameDuration(of); rate > 0 {
		return time.Duration(int64(samples) * int64(time.Second) / int64(rate))
	}
	return 0
}
