package configs

import (
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"github.com/spf13/viper"
)

// RegisterFlags adds a flag for every scalar key or, where groups such as "admin." are named, for every
// one in them.
func RegisterFlags(fs *pflag.FlagSet, groups ...string) {
	for _, k := range keys() {
		if len(groups) > 0 && !slices.ContainsFunc(groups, func(g string) bool { return strings.HasPrefix(k.name, g) }) {
			continue
		}
		if k.value.Kind() == reflect.Bool {
			fs.Bool(k.name, k.value.Bool(), k.help)
			continue
		}
		fs.Var(&flagText{k.text(), k.kind}, k.name, k.help)
	}
}

// flagText is a flag's value as it was written. Load says what is wrong with it, together with all else
// that is.
type flagText struct{ text, kind string }

// String implements pflag.Value.
func (f *flagText) String() string { return f.text }

// Type implements pflag.Value: help shows it.
func (f *flagText) Type() string { return f.kind }

// Set implements pflag.Value.
func (f *flagText) Set(text string) error {
	f.text = text
	return nil
}

// Load reads the configuration from flags (nil: none), the environment and a file (empty:
// none), in this order of precedence. Its notices are for the log: what is set without effect.
// Its error is Faults, all of them.
func Load(file string, flags *pflag.FlagSet) (*Config, []string, error) {
	cfg := Default()
	ownDefaults(&cfg, flags)
	var tree map[string]any
	if file != "" {
		var faults Faults
		if tree, faults = readFile(file); faults != nil {
			return nil, nil, faults
		}
	}
	// The lists come last: what their entries leave out is the defaults', which environment
	// and flags may have changed.
	lists := map[string]any{}
	for _, name := range []string{"streams", "push", "pull", "hooks"} {
		if data, ok := tree[name]; ok {
			lists[name] = data
			delete(tree, name)
		}
	}
	f := &filler{fresh: func(t reflect.Type) reflect.Value { return fresh(t, &cfg) }}
	top := reflect.ValueOf(&cfg).Elem()
	if tree != nil {
		f.group(top, tree, "")
	}
	f.faults = append(f.faults, override(&cfg, flags)...)
	f.group(top, lists, "")
	if faults := append(f.faults, f.known(cfg.validate())...); len(faults) > 0 {
		return nil, nil, faults
	}
	return &cfg, unknownEnv(), nil
}

// ownDefaults puts in force the defaults that a command's flags have of their own.
func ownDefaults(cfg *Config, flags *pflag.FlagSet) {
	if flags == nil {
		return
	}
	for _, k := range keysOf(cfg) {
		if f := flags.Lookup(k.name); f != nil && f.DefValue != k.text() {
			_, _ = set(k.value, f.DefValue) // the program's own
		}
	}
}

// override sets what flags and environment set over what the file says.
func override(cfg *Config, flags *pflag.FlagSet) (faults Faults) {
	v := viper.New()
	for _, k := range keysOf(cfg) {
		_ = v.BindEnv(k.name, k.env()) // fails only without a name
		origin := k.env()
		if flags != nil {
			if f := flags.Lookup(k.name); f != nil {
				_ = v.BindPFlag(k.name, f) // fails only without a flag
				if f.Changed {
					origin = "--" + k.name
				}
			}
		}
		if !v.IsSet(k.name) {
			continue
		}
		if problem, right := set(k.value, v.GetString(k.name)); problem != "" {
			faults = append(faults, Fault{Key: k.name, Problem: problem + " (from " + origin + ")", Right: right})
		}
	}
	return faults
}

// fresh is what an entry of a list starts from.
func fresh(t reflect.Type, cfg *Config) reflect.Value {
	switch t {
	case reflect.TypeFor[Match]():
		return reflect.ValueOf(Match{Stream: cfg.Defaults.clone()})
	case reflect.TypeFor[Group]():
		return reflect.ValueOf(defaultGroup())
	case reflect.TypeFor[ICEServer]():
		return reflect.ValueOf(defaultICEServer())
	case reflect.TypeFor[Hook]():
		return reflect.ValueOf(defaultHook())
	}
	return reflect.Zero(t)
}

func (s Stream) clone() Stream {
	s.PublishKeys = slices.Clone(s.PublishKeys)
	s.Transcode = slices.Clone(s.Transcode)
	return s
}

// unknownEnv tells of variables that look like ours and are not.
func unknownEnv() (out []string) {
	known := map[string]bool{envPrefix + "CONFIG": true}
	var names []string
	for _, k := range keys() {
		known[k.env()] = true
		names = append(names, k.env())
	}
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
