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

// view is one state of the playlists of a stream. It is immutable and shared by all requests.
type view struct {
	stored     []*segment // complete segments, oldest first; the playlist has the last ones, as many as window says
	window     int
	open       *segment // incomplete segment; nil if none
	target     int      // seconds
	partTarget time.Duration
	next       uint64 // sequence number of the next segment
	nextPart   string // name of the next part
	ended      bool
	windowSize int    // number of segments in the playlist when it is full
	first      uint64 // sequence number of the stream's first segment

	mu        sync.Mutex // guards playlists
	playlists map[playlistKey]*playlist
}

// playlistKey identifies one of the playlists of a view. They differ in form, in the offset that is
// added to the discontinuity sequence, and in the gaps after a restart; see instance.
type playlistKey struct {
	form                int
	discontinuityOffset uint64
	restart             time.Time // start of this instance, for players to which segments missed in the restart are listed as gaps; else zero
}

// maxPlaylists is the maximum number of playlists of a view that are kept to be shared: enough for
// a few instances.
const maxPlaylists = 4 * forms

// The forms of a media playlist.
const (
	lowLatency = iota
	delta      // with parts, without the older segments (a delta update)
	plain      // without parts
	forms
)

// playlist is one rendered playlist. Its texts are rendered on first use.
type playlist struct {
	text, gzip         []byte
	textOnce, gzipOnce sync.Once
}

// playlist returns the playlist for a key. All requests for the same key share it.
func (v *view) playlist(e playlistKey) *playlist {
	v.mu.Lock()
	defer v.mu.Unlock()
	p := v.playlists[e]
	if p == nil {
		p = &playlist{}
		if v.playlists == nil {
			v.playlists = map[playlistKey]*playlist{}
		}
		if len(v.playlists) < maxPlaylists {
			v.playlists[e] = p
		}
	}
	return p
}

// body returns the text of a playlist, compressed with gzip if zipped is set.
func (v *view) body(e playlistKey, zipped bool) []byte {
	p := v.playlist(e)
	p.textOnce.Do(func() { p.text = v.render(e) })
	if !zipped {
		return p.text
	}
	p.gzipOnce.Do(func() {
		var b bytes.Buffer
		w, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed)
		_, _ = w.Write(p.text) // to memory
		_ = w.Close()
		p.gzip = b.Bytes()
	})
	return p.gzip
}

// listed returns the complete segments in the playlist.
func (v *view) listed() []*segment { return v.stored[len(v.stored)-v.window:] }

// info describes the newest segment's init section.
func (v *view) info() *cmaf.Info { return v.stored[len(v.stored)-1].init.chunk.Info }

// last returns the sequence number of the newest complete segment.
func (v *view) last() uint64 { return v.stored[len(v.stored)-1].seq }

func (v *view) skipUntil() time.Duration { return time.Duration(6*v.target) * time.Second }

// has reports whether the playlist has segment msn and, if part is not negative, that part of it.
// Any later media counts too.
func (v *view) has(msn uint64, part int) bool {
	if msn <= v.last() {
		if part < 0 || msn < v.last() {
			return true
		}
		if part < len(v.stored[len(v.stored)-1].parts) {
			return true
		}
		msn, part = msn+1, 0 // no such part; the first part of the next segment
	}
	return part >= 0 && v.open != nil && (msn < v.open.seq || msn == v.open.seq && part < len(v.open.parts))
}

// tooFarAhead reports whether the requested segment or part is further ahead than a request may be.
func (v *view) tooFarAhead(msn uint64, part int) bool {
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

func (v *view) render(e playlistKey) []byte {
	var b strings.Builder
	form := e.form
	listed := v.listed()
	b.WriteString("#EXTM3U\n")
	missed := v.missed(e.restart)
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
	breaks := first.discontinuities
	if first.discontinuity {
		breaks-- // its tag is in the playlist
	}
	fmt.Fprintf(&b, "#EXT-X-MEDIA-SEQUENCE:%d\n#EXT-X-DISCONTINUITY-SEQUENCE:%d\n", first.seq-missed, e.discontinuityOffset+breaks)
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
			init = s.renderHeader(&b, init)
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

// renderControl writes the tags that control how players reload the playlist.
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

// renderOpen writes the parts of the incomplete segment, and the preload hint for the next part.
func (v *view) renderOpen(b *strings.Builder, init *initSection) {
	if v.open != nil && len(v.open.parts) > 0 {
		v.open.renderHeader(b, init)
		v.open.renderParts(b)
	}
	if !v.ended {
		fmt.Fprintf(b, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"%s.m4s\"\n", v.nextPart)
	}
}

// partHoldBack returns the minimum distance of players from the live edge. The standard requires
// three parts; a little more avoids stalls.
func (v *view) partHoldBack() time.Duration { return 3*v.partTarget + v.partTarget/2 }

// length returns the duration of the complete segments in the playlist.
func (v *view) length() (d time.Duration) {
	for _, s := range v.listed() {
		d += s.duration
	}
	return d
}

// canSkip reports whether a full playlist is long enough for delta updates.
func (v *view) canSkip() bool {
	return time.Duration(v.windowSize)*time.Duration(v.target-1)*time.Second > v.skipUntil()
}

// skippable returns how many segments a delta update omits: those whose end is at least
// CAN-SKIP-UNTIL before the end of the last segment.
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

// independent reports whether all segments begin with a keyframe.
func (v *view) independent() bool {
	for _, s := range v.listed() {
		if !s.independent {
			return false
		}
	}
	return v.open == nil || v.open.independent
}

// name returns the name of the segment's file without extension.
func (s *segment) name() string { return strconv.FormatUint(s.seq, 10) + "-" + s.id }

// renderHeader writes the tags before a segment or its parts. init is the init section in force
// before them; renderHeader returns the one in force after them.
func (s *segment) renderHeader(b *strings.Builder, init *initSection) *initSection {
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
