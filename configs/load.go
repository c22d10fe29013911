package configs

import (
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"github.com/spf13/viper"
)

// RegisterFlags adds to fs a flag for every key that a flag can set. If groups are given, as prefixes such
// as "admin.", it adds only the flags of those groups.
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

// flagText is the value of a flag as written by the user. It accepts any text, so that Load can report a
// wrong value together with all other faults.
type flagText struct{ text, kind string }

// String implements pflag.Value.
func (f *flagText) String() string { return f.text }

// Type implements pflag.Value. It returns the type displayed in the help.
func (f *flagText) Type() string { return f.kind }

// Set implements pflag.Value.
func (f *flagText) Set(text string) error {
	f.text = text
	return nil
}

// Loaded is a configuration together with the places of its keys and with notices.
type Loaded struct {
	*Config

	Notices []string // about settings without effect
	at      places
}

// Warning is a warning about a setting that is allowed but most likely a mistake.
type Warning struct {
	Text  string
	Place string // file:line; empty if the setting is not in a file
}

// Warnings is like Config.Warnings, but includes the places of the settings.
func (l *Loaded) Warnings() (out []Warning) {
	for _, text := range l.Config.Warnings() {
		key, _, _ := strings.Cut(text, ": ")
		f := Fault{File: l.at.file, Line: l.at.line(key)}
		out = append(out, Warning{text, f.Place()})
	}
	return out
}

// Load reads the configuration from flags, the environment and a file, in this order of precedence. flags
// may be nil, and file may be empty. It also returns notices about settings without effect, for the log.
// The error is of type Faults.
func Load(file string, flags *pflag.FlagSet) (*Config, []string, error) {
	l, err := Read(file, flags)
	if err != nil {
		return nil, nil, err
	}
	return l.Config, l.Notices, nil
}

// Read is like Load, but also keeps the lines of the keys in the file, for the places of warnings.
func Read(file string, flags *pflag.FlagSet) (*Loaded, error) {
	cfg := Default()
	ownDefaults(&cfg, flags)
	var tree map[string]any
	var at places
	if file != "" {
		var faults Faults
		if tree, at, faults = readPlaced(file); faults != nil {
			return nil, faults
		}
	}
	// Lists are read last: their entries start from the defaults, which the environment and
	// flags may have changed.
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
	faults, from := override(&cfg, flags)
	f.faults = append(f.faults, faults...)
	f.group(top, lists, "")
	f.faults = append(f.faults, cfg.readSecrets()...)
	f.faults = append(f.faults, at.inherited(f.dropUnread(cfg.validate()))...)
	if faults := f.faults; len(faults) > 0 {
		at.setPlaces(faults, from)
		return nil, faults
	}
	return &Loaded{Config: &cfg, Notices: unknownEnv(), at: at}, nil
}

// ownDefaults applies the default values of the command's flags if they differ from those of Default.
func ownDefaults(cfg *Config, flags *pflag.FlagSet) {
	if flags == nil {
		return
	}
	for _, k := range keysOf(cfg) {
		if f := flags.Lookup(k.name); f != nil && f.DefValue != k.text() {
			_, _ = set(k.value, f.DefValue) // valid: part of the program
		}
	}
}

// override applies flags and the environment to cfg. from maps each key that they set to its origin, the
// name of the flag or of the environment variable.
func override(cfg *Config, flags *pflag.FlagSet) (faults Faults, from map[string]string) {
	v := viper.New()
	from = map[string]string{}
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
		from[k.name] = origin
		if problem, right := set(k.value, v.GetString(k.name)); problem != "" {
			faults = append(faults, Fault{Key: k.name, Problem: problem + " (from " + origin + ")", Right: right})
		}
	}
	return append(faults, overridePairs(cfg, from)...), from
}

// fresh returns the initial value of a list entry of type t. Entries of streams start from the defaults of
// cfg.
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

// unknownEnv returns notices about unknown environment variables that begin with envPrefix.
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
