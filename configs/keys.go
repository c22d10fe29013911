package configs

import (
	"fmt"
	"reflect"
	"strings"
)

// key is one scalar key, or a list of plain strings, outside the lists of the file: what a
// flag and an environment variable can set.
type key struct {
	name  string // rtmp.listen
	help  string
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
			*out = append(*out, key{name: name, help: f.Tag.Get("help"), value: v.Field(i)})
		}
	}
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

// nearest is the candidate that takes the fewest edits to reach from got, if it is near at
// all.
func nearest(got string, candidates []string) string {
	if len(got) > longest {
		return ""
	}
	best, least := "", len(got)/2+1
	for _, c := range candidates {
		if d := distance(got, c); d < least {
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

// Suggest names the flag that an unknown one may have meant; empty if none is near.
func Suggest(flag string) string {
	var names []string
	for _, k := range keys() {
		names = append(names, k.name)
	}
	return nearest(flag, names)
}
