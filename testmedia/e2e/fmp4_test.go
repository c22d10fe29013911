//go:build unix

package e2e

import (
	"bytes"
	"fmt"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// fragments parses init sections and fragments as a player does, without the relay's code.
type fragments struct {
	tracks map[int]*fmp4.InitTrack
	ready  []*packetbuf.Packet
}

// add parses an init section or fragments.
func (f *fragments) add(b []byte) error {
	if len(b) > 8 && string(b[4:8]) == "ftyp" {
		return f.init(b)
	}
	var parts fmp4.Parts
	if err := parts.Unmarshal(b); err != nil {
		return fmt.Errorf("parse fragment of %d bytes: %w", len(b), err)
	}
	for _, part := range parts {
		for _, tr := range part.Tracks {
			if err := f.samples(tr); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *fragments) init(b []byte) error {
	var init fmp4.Init
	if err := init.Unmarshal(bytes.NewReader(b)); err != nil {
		return fmt.Errorf("parse init section: %w", err)
	}
	f.tracks = map[int]*fmp4.InitTrack{}
	for _, tr := range init.Tracks {
		f.tracks[tr.ID] = tr
		track := packetbuf.Audio
		if tr.Codec.IsVideo() {
			track = packetbuf.Video
		}
		f.ready = append(f.ready, &packetbuf.Packet{Track: track, Kind: packetbuf.Config})
	}
	return nil
}

func (f *fragments) samples(tr *fmp4.PartTrack) error {
	about, ok := f.tracks[tr.ID]
	if !ok {
		return fmt.Errorf("track %d has no init section", tr.ID)
	}
	scale := time.Duration(about.TimeScale)
	in := func(units int64) time.Duration {
		return (time.Duration(units)*time.Second + scale/2) / scale
	}
	at := int64(tr.BaseTime) //nolint:gosec // of a stream that is not that old
	for _, s := range tr.Samples {
		p := &packetbuf.Packet{
			Track: packetbuf.Audio, Codec: packetbuf.AAC, Kind: packetbuf.Delta,
			DTS: in(at), CTO: in(int64(s.PTSOffset)), Payload: s.Payload,
		}
		if about.Codec.IsVideo() {
			p.Track, p.Codec = packetbuf.Video, packetbuf.H264
			if !s.IsNonSyncSample {
				p.Kind = packetbuf.Key
			}
		}
		at += int64(s.Duration)
		f.ready = append(f.ready, p)
	}
	return nil
}

// next returns the oldest packet, or nil if there is none.
func (f *fragments) next() *packetbuf.Packet {
	if len(f.ready) == 0 {
		return nil
	}
	p := f.ready[0]
	f.ready = f.ready[1:]
	return p
}
