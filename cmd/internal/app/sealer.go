package app

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log/slog"

	"github.com/holdfast-live/holdfast/cmd/internal/statefile"
	"github.com/holdfast-live/holdfast/packetbuf/resume"
)

// resumeSection is where the state file has the key of resume tokens.
const resumeSection = "resume"

// resumeState is that section.
type resumeState struct {
	Version int    `json:"version"`
	Key     []byte `json:"key"` // a secret
}

// newSealer makes what seals resume tokens: with the configured key, else with the one that
// is kept in the state file, else with one that ends with the process. Each process is an
// instance of its own: what a viewer has had is known to none but it.
func newSealer(configured string, kept *statefile.File, log *slog.Logger) (*resume.Sealer, error) {
	key, err := base64.StdEncoding.DecodeString(configured)
	if err != nil {
		return nil, fmt.Errorf("resume.key: %w", err) // validated before
	}
	if len(key) == 0 {
		key = keptKey(kept, log)
	}
	s, err := resume.New(key, instance())
	if err != nil {
		return nil, fmt.Errorf("resume.key: %w", err)
	}
	return s, nil
}

// keptKey is the key in the state file; a new one is kept there from now on.
func keptKey(kept *statefile.File, log *slog.Logger) []byte {
	var in resumeState
	if data := kept.Section(resumeSection); data != nil {
		err := json.Unmarshal(data, &in)
		if err == nil && in.Version == 1 && len(in.Key) == resume.KeySize {
			return in.Key
		}
		log.Warn("the key of resume tokens cannot be read; viewers who come back start afresh", "err", err)
	}
	in = resumeState{Version: 1, Key: make([]byte, resume.KeySize)}
	_, _ = rand.Read(in.Key) // it never fails
	data, err := json.Marshal(in)
	if err == nil {
		err = kept.Save(resumeSection, data)
	}
	if err != nil {
		log.Error("the key of resume tokens is not kept; it ends with this process", "err", err)
	}
	return in.Key
}

// instance returns a random number for this process.
func instance() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // it never fails
	return binary.BigEndian.Uint64(b[:])
}
