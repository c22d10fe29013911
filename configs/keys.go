package configs

import (
	"fmt"
	"reflect"
	"strings"
)

// key is one scalar key, or a list of plain strings, outside the lists of the file: what a
// flag and an environment variable can set.
type key struct {
	name string // rtmp.listen
	help string
	def  any
	bool bool
}

// env is the key's environment variable.
func (k key) env() string { return envName(k.name) }

func envName(key string) string {
	return envPrefix + strings.ToUpper(strings.NewReplacer(".", "_").Replace(key))
}

const envPrefix = "HOLDFAST_"

// keys lists them with their defaults.
func keys() []key {
	def := Default()
	var out []key
	collect(reflect.ValueOf(def), "", &out)
	return out
}

func collect(v reflect.Value, prefix string, out *[]key) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name := prefix + f.Tag.Get("mapstructure")
		switch {
		case f.Type.Kind() == reflect.Struct:
			collect(v.Field(i), name+".", out)
		case f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() != reflect.String:
			// A list of structures is the file's alone.
		default:
			*out = append(*out, key{name: name, help: f.Tag.Get("help"), def: v.Field(i).Interface(), bool: f.Type.Kind() == reflect.Bool})
		}
	}
}

// text is how a default is written.
func (k key) text() string {
	if list, ok := k.def.([]string); ok {
		return strings.Join(list, ",")
	}
	return fmt.Sprint(k.def)
}

// fileKeys are all the keys that may stand in a file below a structure.
func fileKeys(t reflect.Type, prefix string) []string {
	var out []string
	for i := range t.NumField() {
		f := t.Field(i)
		tag, options, _ := strings.Cut(f.Tag.Get("mapstructure"), ",")
		switch {
		case options == "squash":
			out = append(out, fileKeys(f.Type, prefix)...)
			continue
		case f.Type.Kind() == reflect.Struct:
			out = append(out, fileKeys(f.Type, prefix+tag+".")...)
		}
		out = append(out, prefix+tag)
	}
	return out
}

// nearest is the candidate that takes the fewest edits to reach from got, if it is near at
// all.
func nearest(got string, candidates []string) string {
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
