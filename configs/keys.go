package configs

import (
	"fmt"
	"reflect"
	"strings"
	"time"
)

// key is one scalar key, or a list of plain strings, outside the lists of the file: what a
// flag and an environment variable can set.
type key struct {
	name  string // rtmp.listen
	help  string
	kind  string        // what its value is, in a word
	value reflect.Value // in the configuration that the keys were asked for
}

// env is the key's environment variable.
func (k key) env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(k.name, ".", "_"))
}

const envPrefix = "HOLDFAST_"

// keysOf lists the keys of a configuration with the places of their values.
func keysOf(cfg *Config) (out []key) {
	collect(reflect.ValueOf(cfg).Elem(), "", &out)
	return out
}

// keys lists the keys with their defaults.
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

// kindOfValue is a word for what a key's value is.
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

// text is how the value is written.
func (k key) text() string {
	v := k.value.Interface()
	if list, ok := v.([]string); ok {
		return strings.Join(list, ",")
	}
	return fmt.Sprint(v)
}

// fileKeys are all the keys that may stand in a file below a structure, outside lists.
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

// longest is the longest word for which a near one is looked for.
const longest = 80

// mostEdits bounds the edits to a word that is near.
const mostEdits = 3

// nearest returns the candidate that takes the fewest edits to reach from got, upper or lower case; empty
// where none is near. It is never got itself.
func nearest(got string, candidates []string) string {
	if len(got) > longest {
		return ""
	}
	best, least := "", min((len(got)+2)/3, mostEdits)+1
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

// distance is Levenshtein's.
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

// Suggest returns which of the names an unknown one may have meant; empty if none is near.
func Suggest(unknown string, names []string) string { return nearest(unknown, names) }
