package hls

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/relay/egress/cmaf"
)

// view is one state of a stream's playlists, immutable and shared by all who ask.
type view struct {
	stored     []*segment // oldest first; the last window of them are in the playlist
	window     int
	open       *segment // the one that is being filled; nil: none
	target     int      // seconds
	partTarget time.Duration
	next       uint64 // sequence of the segment that begins next
	nextPart   string // name of the part that comes next
	ended      bool
	hold       int    // segments that the playlist is to have
	first      uint64 // sequence of the first segment that there was

	mu   sync.Mutex // guards made
	made map[edition]*playlist
}

// edition is what playlists of one state differ in: their form, and how much is added to the
// discontinuity sequence; see run.
type edition struct {
	form  int
	after uint64
	began time.Time // of the run, for a player that lists what it missed over the restart; else zero
}

// editions is how many of them are kept for others to share: of a few runs.
const editions = 4 * forms

// The forms of a media playlist.
const (
	lowLatency = iota
	delta      // with parts, without the older segments
	plain      // without parts
	forms
)

// playlist is one form, made on first need.
type playlist struct {
	text, zip        []byte
	texting, zipping sync.Once
}

// edition is one of the playlists, which all who ask for it share.
func (v *view) edition(e edition) *playlist {
	v.mu.Lock()
	defer v.mu.Unlock()
	p := v.made[e]
	if p == nil {
		p = &playlist{}
		if v.made == nil {
			v.made = map[edition]*playlist{}
		}
		if len(v.made) < editions {
			v.made[e] = p
		}
	}
	return p
}

// text is a media playlist; zipped where that is asked for.
func (v *view) text(e edition, zipped bool) []byte {
	p := v.edition(e)
	p.texting.Do(func() { p.text = v.render(e) })
	if !zipped {
		return p.text
	}
	p.zipping.Do(func() {
		var b bytes.Buffer
		w, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed)
		_, _ = w.Write(p.text) // to memory
		_ = w.Close()
		p.zip = b.Bytes()
	})
	return p.zip
}

// listed are the segments in the playlist that are complete.
func (v *view) listed() []*segment { return v.stored[len(v.stored)-v.window:] }

// info is what the newest segment's init section says.
func (v *view) info() *cmaf.Info { return v.stored[len(v.stored)-1].init.chunk.Info }

// last is the sequence of the newest complete segment.
func (v *view) last() uint64 { return v.stored[len(v.stored)-1].seq }

func (v *view) skipUntil() time.Duration { return time.Duration(6*v.target) * time.Second }

// has tells whether the playlist has segment msn or, where part is not negative, that part of
// it, or what comes after.
func (v *view) has(msn uint64, part int) bool {
	if msn <= v.last() {
		if part < 0 || msn < v.last() {
			return true
		}
		if part < len(v.stored[len(v.stored)-1].parts) {
			return true
		}
		msn, part = msn+1, 0 // no such part: the one that follows
	}
	return part >= 0 && v.open != nil && (msn < v.open.seq || msn == v.open.seq && part < len(v.open.parts))
}

// beyond tells whether that is further ahead than one may ask for.
func (v *view) beyond(msn uint64, part int) bool {
	if msn > v.last()+2 {
		return true
	}
	ahead := 3
	if v.partTarget < time.Second {
		ahead = int((3*time.Second + v.partTarget - 1) / v.partTarget)
	}
	there := 0
	if v.open != nil && v.open.seq == msn {
		there = len(v.open.parts)
	}
	return msn > v.last() && part >= there+ahead
}

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 5, 64) }

func (v *view) render(e edition) []byte {
	var b strings.Builder
	form := e.form
	listed := v.listed()
	b.WriteString("#EXTM3U\n")
	missed := v.missed(e.began)
	skipped := 0
	if form == delta && missed == 0 {
		skipped = v.skippable()
	}
	version := 7
	switch {
	case skipped > 0:
		version = 9
	case missed > 0:
		version = 8
	}
	fmt.Fprintf(&b, "#EXT-X-VERSION:%d\n#EXT-X-TARGETDURATION:%d\n", version, v.target)
	v.renderControl(&b, form)
	first := listed[0]
	breaks := first.breaks
	if first.discontinuity {
		breaks-- // its tag still stands here
	}
	fmt.Fprintf(&b, "#EXT-X-MEDIA-SEQUENCE:%d\n#EXT-X-DISCONTINUITY-SEQUENCE:%d\n", first.seq-missed, e.after+breaks)
	if v.independent() {
		b.WriteString("#EXT-X-INDEPENDENT-SEGMENTS\n")
	}
	if skipped > 0 {
		fmt.Fprintf(&b, "#EXT-X-SKIP:SKIPPED-SEGMENTS=%d\n", skipped)
	}
	var init *initSection
	if skipped > 0 {
		init = listed[skipped-1].init
	}
	if missed > 0 {
		init = v.renderMissed(&b, missed)
	}
	left := v.length()
	for i, s := range listed {
		if i >= skipped {
			init = s.head(&b, init)
			if form != plain && left <= 3*time.Duration(v.target)*time.Second {
				s.renderParts(&b)
			}
			fmt.Fprintf(&b, "#EXTINF:%s,\n%s.m4s\n", seconds(s.duration), s.name())
		}
		left -= s.duration
	}
	if form != plain {
		v.renderOpen(&b, init)
	}
	if v.ended {
		b.WriteString("#EXT-X-ENDLIST\n")
	}
	return []byte(b.String())
}

// renderControl writes how the playlist is to be loaded.
func (v *view) renderControl(b *strings.Builder, form int) {
	if form == plain {
		fmt.Fprintf(b, "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,HOLD-BACK=%d\n", 3*v.target)
	} else {
		fmt.Fprintf(b, "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=%s,HOLD-BACK=%d", seconds(v.partHoldBack()), 3*v.target)
		if v.canSkip() {
			fmt.Fprintf(b, ",CAN-SKIP-UNTIL=%s", seconds(v.skipUntil()))
		}
		fmt.Fprintf(b, "\n#EXT-X-PART-INF:PART-TARGET=%s\n", seconds(v.partTarget))
	}
}

// renderOpen tells of the segment that is being filled, and of the part that comes next.
func (v *view) renderOpen(b *strings.Builder, init *initSection) {
	if v.open != nil && len(v.open.parts) > 0 {
		v.open.head(b, init)
		v.open.renderParts(b)
	}
	if !v.ended {
		fmt.Fprintf(b, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"%s.m4s\"\n", v.nextPart)
	}
}

// partHoldBack is how far from the live edge players stay. Three parts would do; a little more
// spares them a stall.
func (v *view) partHoldBack() time.Duration { return 3*v.partTarget + v.partTarget/2 }

// length is how long what the playlist has of complete segments lasts.
func (v *view) length() (d time.Duration) {
	for _, s := range v.listed() {
		d += s.duration
	}
	return d
}

// canSkip tells whether the playlist is ever long enough for a delta update.
func (v *view) canSkip() bool {
	return time.Duration(v.hold)*time.Duration(v.target-1)*time.Second > v.skipUntil()
}

// skippable is how many segments a delta update leaves out: those further from the end than
// CAN-SKIP-UNTIL.
func (v *view) skippable() (n int) {
	if !v.canSkip() || v.ended {
		return 0
	}
	left := v.length()
	for _, s := range v.listed() {
		if left -= s.duration; left < v.skipUntil() {
			break
		}
		n++
	}
	return n
}

// independent tells whether all segments begin with a keyframe.
func (v *view) independent() bool {
	for _, s := range v.listed() {
		if !s.independent {
			return false
		}
	}
	return v.open == nil || v.open.independent
}

// name is how the segment's file is named, without its ending.
func (s *segment) name() string { return strconv.FormatUint(s.seq, 10) + "-" + s.id }

// head is what stands before a segment, or its parts.
func (s *segment) head(b *strings.Builder, init *initSection) *initSection {
	if s.discontinuity {
		b.WriteString("#EXT-X-DISCONTINUITY\n")
	}
	if s.init != init {
		fmt.Fprintf(b, "#EXT-X-MAP:URI=\"init-%s.mp4\"\n", s.init.id)
	}
	fmt.Fprintf(b, "#EXT-X-PROGRAM-DATE-TIME:%s\n", s.wall.UTC().Format("2006-01-02T15:04:05.000Z"))
	return s.init
}

func (s *segment) renderParts(b *strings.Builder) {
	for _, p := range s.parts {
		fmt.Fprintf(b, "#EXT-X-PART:DURATION=%s,URI=\"%s.m4s\"", seconds(p.duration), p.name)
		if p.independent {
			b.WriteString(",INDEPENDENT=YES")
		}
		b.WriteByte('\n')
	}
}
