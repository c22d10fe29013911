package configs

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/pflag"
	"github.com/spf13/viper"
)

// Fault is one thing that is wrong with a configuration.
type Fault struct {
	Key     string // such as streams[0].hold
	Problem string // what is wrong
	Right   string // what would be right
}

func (f Fault) String() string {
	s := f.Problem
	if f.Key != "" {
		s = f.Key + ": " + s
	}
	if f.Right != "" {
		s += "; " + f.Right
	}
	return s
}

// Faults is the error of a configuration that is not right: everything that is wrong with it.
type Faults []Fault

func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.String()
	}
	return strings.Join(lines, "\n")
}

// RegisterFlags adds a flag for every scalar key.
func RegisterFlags(fs *pflag.FlagSet) {
	for _, k := range keys() {
		if k.bool {
			fs.Bool(k.name, k.def.(bool), k.help) //nolint:forcetypeassert // its kind says so
			continue
		}
		fs.String(k.name, k.text(), k.help)
	}
}

// Load reads the configuration from flags (nil: none), the environment and a file (empty:
// none), in this order of precedence. Its notices are for the log: what is set without effect.
// Its error is Faults, all of them.
func Load(file string, flags *pflag.FlagSet) (*Config, []string, error) {
	v := viper.New()
	var faults Faults
	for _, k := range keys() {
		def := k.text()
		_ = v.BindEnv(k.name, k.env()) // fails only without a name
		if flags != nil {
			if f := flags.Lookup(k.name); f != nil {
				_ = v.BindPFlag(k.name, f)
				def = f.DefValue // a command may have a default of its own
			}
		}
		v.SetDefault(k.name, def)
	}
	if file != "" {
		v.SetConfigFile(file)
		v.SetConfigType("yaml")
		if err := v.ReadInConfig(); err != nil {
			return nil, nil, Faults{readFault(file, err)}
		}
	}
	cfg := Default()
	settings := v.AllSettings()
	faults = append(faults, decode(settings, &cfg)...)
	cfg.Streams = decodeList(settings["streams"], "streams", func() Match { return Match{Stream: cfg.Defaults.clone()} }, &faults)
	cfg.Push = decodeList(settings["push"], "push", defaultGroup, &faults)
	cfg.Pull = decodeList(settings["pull"], "pull", defaultGroup, &faults)
	faults = append(faults, cfg.validate()...)
	if len(faults) > 0 {
		return nil, nil, faults
	}
	return &cfg, append(unknownEnv(), unused(v)...), nil
}

func readFault(file string, err error) Fault {
	if errors.Is(err, os.ErrNotExist) {
		return Fault{Problem: "there is no file " + file, Right: "name one that exists with --config"}
	}
	return Fault{Problem: fmt.Sprintf("%s cannot be read: %v", file, err), Right: "it has to be YAML"}
}

func (s Stream) clone() Stream {
	s.PublishKeys = slices.Clone(s.PublishKeys)
	s.Transcode = slices.Clone(s.Transcode)
	return s
}

// decode puts what stands outside the lists into cfg.
func decode(settings map[string]any, cfg *Config) Faults {
	plain := map[string]any{}
	for k, v := range settings {
		if k != "streams" && k != "push" && k != "pull" {
			plain[k] = v
		}
	}
	return decodeInto(plain, cfg, "")
}

// decodeList decodes a list of the file, each entry onto what fresh returns.
func decodeList[T any](data any, name string, fresh func() T, faults *Faults) []T {
	if data == nil {
		return nil
	}
	list, ok := data.([]any)
	if !ok {
		*faults = append(*faults, Fault{Key: name, Problem: "it is no list", Right: "begin each entry with - match: \"app/*\""})
		return nil
	}
	var out []T
	for i, entry := range list {
		at := fmt.Sprintf("%s[%d]", name, i)
		fields, ok := entry.(map[string]any)
		if !ok {
			*faults = append(*faults, Fault{Key: at, Problem: "it has no keys", Right: "begin with match: \"app/*\""})
			continue
		}
		value := fresh()
		*faults = append(*faults, decodeInto(fields, &value, at+".")...)
		out = append(out, value)
	}
	return out
}

func decodeInto(data map[string]any, to any, prefix string) Faults {
	var faults Faults
	var meta mapstructure.Metadata
	d, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
		DecodeHook: hooks, Metadata: &meta, Result: to, WeaklyTypedInput: true,
		ZeroFields: true, // a list replaces the one of the defaults
	})
	if err != nil {
		return Faults{{Key: prefix, Problem: err.Error()}}
	}
	if err := d.Decode(data); err != nil {
		faults = append(faults, decodeFaults(err, prefix)...)
	}
	known := fileKeys(reflect.TypeOf(to).Elem(), "")
	slices.Sort(meta.Unused)
	for _, k := range meta.Unused {
		f := Fault{Key: prefix + k, Problem: "there is no such key"}
		if n := nearest(k, known); n != "" {
			f.Right = "did you mean " + prefix + n + "?"
		}
		faults = append(faults, f)
	}
	return faults
}

// decodeFaults takes a decoder's joined errors apart.
func decodeFaults(err error, prefix string) Faults {
	if many, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // the joined error itself
		var out Faults
		for _, e := range many.Unwrap() {
			out = append(out, decodeFaults(e, prefix)...)
		}
		return out
	}
	var one *mapstructure.DecodeError
	if errors.As(err, &one) {
		return Faults{{Key: prefix + one.Name(), Problem: plain(one.Unwrap())}}
	}
	if inner := errors.Unwrap(err); inner != nil {
		return decodeFaults(inner, prefix)
	}
	return Faults{{Key: strings.TrimSuffix(prefix, "."), Problem: err.Error()}}
}

// plain is a decoder's error in words for people.
func plain(err error) string {
	var wrong *mapstructure.UnconvertibleTypeError
	if errors.As(err, &wrong) {
		return fmt.Sprintf("a %s does not fit; a %s does", kindOf(reflect.TypeOf(wrong.Value)), kindOf(wrong.Expected.Type()))
	}
	var parse *mapstructure.ParseError
	if errors.As(err, &parse) {
		return fmt.Sprintf("%q is not a %s", fmt.Sprint(parse.Value), kindOf(parse.Expected.Type()))
	}
	s := err.Error()
	_, after, ok := strings.Cut(s, "error decoding '")
	if ok {
		if _, text, ok := strings.Cut(after, "': "); ok {
			return text
		}
	}
	return s
}

func kindOf(t reflect.Type) string {
	if t == nil {
		return "null"
	}
	switch t.Kind() {
	case reflect.Map, reflect.Struct:
		return "group of keys"
	case reflect.Slice, reflect.Array:
		return "list"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64, reflect.Float64:
		return "number"
	}
	return "text"
}

// unknownEnv tells of variables that look like ours and are not.
func unknownEnv() []string {
	known := map[string]bool{envPrefix + "CONFIG": true}
	var names []string
	for _, k := range keys() {
		known[k.env()] = true
		names = append(names, k.env())
	}
	var out []string
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(name, envPrefix) || known[name] {
			continue
		}
		s := "the environment variable " + name + " is unknown and ignored"
		if n := nearest(name, names); n != "" {
			s += "; did you mean " + n + "?"
		}
		out = append(out, s)
	}
	slices.Sort(out)
	return out
}

// later are keys that this version reads and checks, and does nothing with yet.
var later = []string{
	"push", "pull", "webrtc", "state", "resume",
	"backup_return", "slow_publisher", "hls", "transcode",
}

// unused tells which keys are set and have no effect yet.
func unused(v *viper.Viper) []string {
	var out []string
	say := func(key string) { out = append(out, key+" is set and not in use yet in this version") }
	for _, k := range later {
		switch {
		case v.InConfig(k):
			say(k)
		case v.IsSet("defaults."+k) && v.InConfig("defaults") && inFile(v.Get("defaults"), k):
			say("defaults." + k)
		}
	}
	if list, ok := v.Get("streams").([]any); ok {
		for i, entry := range list {
			for _, k := range later {
				if inFile(entry, k) {
					say(fmt.Sprintf("streams[%d].%s", i, k))
				}
			}
		}
	}
	return out
}

func inFile(data any, key string) bool {
	fields, ok := data.(map[string]any)
	if !ok {
		return false
	}
	_, ok = fields[key]
	return ok
}
