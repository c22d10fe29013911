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

// resumeSection is the section of the state file with the key of resume tokens.
const resumeSection = "resume"

// resumeState is the content of the section resumeSection.
type resumeState struct {
	Version int    `json:"version"`
	Key     []byte `json:"key"` // a secret
}

// newSealer returns a sealer of resume tokens. It uses the configured key if not empty, otherwise the key
// in the state file. If neither exists, it uses a new key; without a state file that key is lost with the
// process. Each process is an instance of its own, because no other knows what its viewers have received.
func newSealer(configured string, kept *statefile.File, log *slog.Logger) (*resume.Sealer, error) {
	key, err := base64.StdEncoding.DecodeString(configured)
	if err != nil {
		return nil, fmt.Errorf("resume.key: %w", err) // was validated
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

// keptKey returns the key in the state file. If the file contains none, keptKey creates and stores a new
// one.
func keptKey(kept *statefile.File, log *slog.Logger) []byte {
	var in resumeState
	if data := kept.Section(resumeSection); data != nil {
		err := json.Unmarshal(data, &in)
		if err == nil && in.Version == 1 && len(in.Key) == resume.KeySize {
			return in.Key
		}
		log.Warn("key of resume tokens unreadable; returning viewers start anew", "err", err)
	}
	in = resumeState{Version: 1, Key: make([]byte, resume.KeySize)}
	_, _ = rand.Read(in.Key) // never fails
	data, err := json.Marshal(in)
	if err == nil {
		err = kept.Save(resumeSection, data)
	}
	if err != nil {
		log.Error("key of resume tokens not saved; it ends with this process", "err", err)
	}
	return in.Key
}

// instance returns a random number that identifies this process as an instance.
func instance() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint64(b[:])
}
