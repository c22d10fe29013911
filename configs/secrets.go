package configs

import (
	"bytes"
	"fmt"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"
)

// secretFiles lists pairs of keys: one for a secret, the other for a file that contains the secret. Within
// a group, the two keys of a pair exclude each other.
var secretFiles = []struct{ value, file string }{
	{"token", "token_file"}, {"play_secret", "play_secret_file"}, {"publish_keys", "publish_keys_file"},
}

// pairs ensures that only one key of each pair of secretFiles is set in the group v, which was filled from
// data. If data contains one key of a pair, pairs clears an inherited value of the other. If it contains
// both, pairs adds a fault.
func (f *filler) pairs(v reflect.Value, data map[string]any, at string) {
	for _, pair := range secretFiles {
		value, ok := field(v, pair.value)
		file, okToo := field(v, pair.file)
		_, hasValue := data[pair.value]
		_, hasFile := data[pair.file]
		if !ok || !okToo || !hasValue && !hasFile {
			continue
		}
		if hasValue && hasFile && !isEmpty(value) && !isEmpty(file) {
			f.fault(joinKey(at, pair.file), fmt.Sprintf("%s and %s exclude each other", pair.value, pair.file), "remove one of them")
		}
		switch {
		case !hasFile || isEmpty(file):
			file.SetZero()
		case !hasValue:
			value.SetZero()
		}
	}
}

func isEmpty(v reflect.Value) bool { return v.Len() == 0 }

// overridePairs ensures that only one key of each pair of secretFiles is set if flags or the environment
// set one. from maps the keys that they set to their origin. Flags override the environment, and both
// override the file. If both keys have the same origin, it returns a fault.
func overridePairs(cfg *Config, from map[string]string) (faults Faults) {
	rank := func(key string) int {
		switch origin := from[key]; {
		case origin == "":
			return 0
		case strings.HasPrefix(origin, "--"):
			return 2
		}
		return 1
	}
	byName := map[string]reflect.Value{}
	for _, k := range keysOf(cfg) {
		byName[k.name] = k.value
	}
	for _, group := range []string{"admin.", "defaults."} {
		for _, pair := range secretFiles {
			value, ok := byName[group+pair.value]
			file := byName[group+pair.file]
			if !ok || !file.IsValid() {
				continue
			}
			byValue, byFile := rank(group+pair.value), rank(group+pair.file)
			switch {
			case byValue > byFile:
				file.SetZero()
			case byFile > byValue && !isEmpty(file):
				value.SetZero()
			case byFile > 0 && byFile == byValue && !isEmpty(value) && !isEmpty(file):
				faults = append(faults, Fault{Key: group + pair.file, Problem: fmt.Sprintf("%s and %s exclude each other", pair.value, pair.file), Right: "remove one of them"})
			}
		}
	}
	return faults
}

// readSecrets reads the files that contain secrets and stores the secrets in cfg.
func (cfg *Config) readSecrets() Faults {
	r := &secretReader{}
	r.one("admin.token_file", cfg.Admin.TokenFile, &cfg.Admin.Token)
	r.stream("defaults.", &cfg.Defaults, nil)
	for i := range cfg.Streams {
		r.stream(fmt.Sprintf("streams[%d].", i), &cfg.Streams[i].Stream, &cfg.Defaults)
	}
	return r.faults
}

type secretReader struct{ faults Faults }

// stream reads the secret files of a stream's configuration s. For a file that s inherited from the
// defaults, it copies the secrets instead of reading the file again.
func (r *secretReader) stream(at string, s, defaults *Stream) {
	if defaults != nil && s.PlaySecretFile == defaults.PlaySecretFile && s.PlaySecretFile != "" {
		s.PlaySecret = defaults.PlaySecret
	} else {
		r.one(at+"play_secret_file", s.PlaySecretFile, &s.PlaySecret)
	}
	if defaults != nil && s.PublishKeysFile == defaults.PublishKeysFile && s.PublishKeysFile != "" {
		s.PublishKeys = slices.Clone(defaults.PublishKeys)
	} else {
		r.list(at+"publish_keys_file", s.PublishKeysFile, &s.PublishKeys)
	}
}

// one reads a file that contains one secret, and stores the secret in to.
func (r *secretReader) one(key, file string, to *string) {
	b, ok := r.read(key, file)
	if !ok {
		return
	}
	text := strings.TrimRight(string(b), "\r\n")
	switch {
	case text == "":
		r.fault(key, file+" is empty", "write the secret into it; make one with: openssl rand -base64 33")
	case strings.ContainsAny(text, "\r\n"):
		r.fault(key, file+" has more than one line", "write the secret alone into it")
	default:
		*to = text
	}
}

// list reads a file that contains one secret per line, and stores the secrets in to. Lines that begin with
// # are comments.
func (r *secretReader) list(key, file string, to *[]string) {
	b, ok := r.read(key, file)
	if !ok {
		return
	}
	var out []string
	for line := range bytes.Lines(b) {
		if text := strings.TrimSpace(string(line)); text != "" && text[0] != '#' {
			out = append(out, text)
		}
	}
	if len(out) == 0 {
		r.fault(key, file+" holds no key", "write one on each line; without any, publishing would be open to everyone")
		return
	}
	*to = out
}

func (r *secretReader) read(key, file string) (content []byte, ok bool) {
	if file == "" {
		return nil, false
	}
	b, err := readBounded(file)
	if err != nil {
		r.fault(key, err.Error(), readable(err))
		return nil, false
	}
	return b, true
}

func (r *secretReader) fault(key, problem, right string) {
	r.faults = append(r.faults, Fault{Key: key, Problem: problem, Right: right})
}

// SecretFiles returns the files from which secrets were read, without duplicates.
func (cfg *Config) SecretFiles() (out []string) {
	add := func(file string) {
		if file != "" && !slices.Contains(out, file) {
			out = append(out, file)
		}
	}
	add(cfg.Admin.TokenFile)
	add(cfg.Defaults.PlaySecretFile)
	add(cfg.Defaults.PublishKeysFile)
	for i := range cfg.Streams {
		add(cfg.Streams[i].PlaySecretFile)
		add(cfg.Streams[i].PublishKeysFile)
	}
	return out
}

// permissions adds a warning if all users may read a secret file, or if users other than its owner may
// modify it. The group may read it, because the relay may run as another user than the owner.
func (w *warner) permissions(key, file string) {
	if file == "" || w.known["file "+file] || runtime.GOOS == "windows" {
		return
	}
	w.known["file "+file] = true
	info, err := os.Stat(file)
	if err != nil {
		return // reported when the file was read
	}
	if mode := info.Mode().Perm(); mode&0o027 != 0 {
		w.out = append(w.out, fmt.Sprintf("%[1]s: other users can read or change %[2]s (%04[3]o); run chmod 640 %[2]s, and chgrp holdfast %[2]s if the relay runs as holdfast", key, file, mode))
	}
}
