package configs

import (
	"fmt"
	"reflect"
	"strings"
	"time"
)

// key is a key that a flag and an environment variable can set: a scalar or a list of strings that is not
// part of a list of structs.
type key struct {
	name  string // such as rtmp.listen
	help  string
	kind  string        // type of the value, for the help
	value reflect.Value // within the configuration that was passed to keysOf
}

// env returns the name of the key's environment variable.
func (k key) env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(k.name, ".", "_"))
}

const envPrefix = "HOLDFAST_"

// keysOf returns the keys of a configuration, with their values.
func keysOf(cfg *Config) (out []key) {
	collect(reflect.ValueOf(cfg).Elem(), "", &out)
	return out
}

// keys returns the keys with their default values.
func keys() []key {
	def := Default()
	return keysOf(&def)
}

func collect(v reflect.Value, prefix string, out *[]key) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name := prefix + f.Tag.Get("key")
		switch {
		case f.Type.Kind() == reflect.Struct:
			collect(v.Field(i), name+".", out)
		case !isList(f.Type):
			*out = append(*out, key{name: name, help: f.Tag.Get("help"), kind: kindOfValue(f), value: v.Field(i)})
		}
	}
}

// kindOfValue returns the type of a key's value as displayed in the help.
func kindOfValue(f reflect.StructField) string {
	if kind := f.Tag.Get("kind"); kind != "" {
		return kind
	}
	switch f.Type {
	case reflect.TypeFor[time.Duration]():
		return "duration"
	case reflect.TypeFor[AutoDuration]():
		return "auto|duration"
	case reflect.TypeFor[Size]():
		return "size"
	case reflect.TypeFor[[]string]():
		return "list"
	}
	switch f.Type.Kind() { //nolint:exhaustive // the others are text
	case reflect.Int, reflect.Float64:
		return "number"
	case reflect.Bool:
		return "bool"
	}
	return "string"
}

// text returns the value as written in a flag.
func (k key) text() string {
	v := k.value.Interface()
	if list, ok := v.([]string); ok {
		return strings.Join(list, ",")
	}
	return fmt.Sprint(v)
}

// fileKeys returns all keys that a file may contain for the struct type t, except those within lists.
func fileKeys(t reflect.Type, prefix string) (out []string) {
	for i := range t.NumField() {
		f := t.Field(i)
		name := prefix + f.Tag.Get("key")
		out = append(out, name)
		if f.Type.Kind() == reflect.Struct {
			out = append(out, fileKeys(f.Type, name+".")...)
		}
	}
	return out
}

// maxWord is the maximum length in bytes of a word for which nearest searches a similar one.
const maxWord = 80

// maxEdits is the maximum edit distance of a similar word.
const maxEdits = 3

// nearest returns the candidate with the smallest edit distance from got, ignoring case. It returns "" if
// no candidate is similar. It never returns got itself.
func nearest(got string, candidates []string) string {
	if len(got) > maxWord {
		return ""
	}
	best, least := "", min((len(got)+2)/3, maxEdits)+1
	for _, c := range candidates {
		if c == got || c == "" {
			continue
		}
		if d := distance(strings.ToLower(got), strings.ToLower(c)); d < least {
			best, least = c, d
		}
	}
	return best
}

// distance returns the Levenshtein distance of two strings, in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			corner, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, corner+cost)
		}
	}
	return row[len(b)]
}

// Suggest returns the name that the user most likely meant by an unknown one, or "" if none is similar.
func Suggest(unknown string, names []string) string { return nearest(unknown, names) }
