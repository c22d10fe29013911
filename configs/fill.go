package configs

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// filler fills a configuration from the data of a file, and collects faults.
type filler struct {
	faults Faults
	// fresh returns the initial value of a list entry.
	fresh func(reflect.Type) reflect.Value
	// unread lists the keys of list entries that could not be read at all, so that they were not filled.
	unread []string
}

func (f *filler) fault(key, problem, right string) {
	f.faults = append(f.faults, Fault{Key: key, Problem: problem, Right: right})
}

// group fills the struct v, whose key is at. Null is allowed, because all keys of a group may be commented
// out.
func (f *filler) group(v reflect.Value, data any, at string) {
	if data == nil {
		return
	}
	group, ok := data.(map[string]any)
	if !ok {
		f.fault(at, "it has to be a group of keys, not "+kindOf(data), "")
		return
	}
	for _, name := range slices.Sorted(maps.Keys(group)) {
		key := name
		if at != "" {
			key = at + "." + name
		}
		if field, ok := field(v, name); ok {
			f.value(field, group[name], key)
		} else {
			f.unknown(v.Type(), name, at)
		}
	}
	f.pairs(v, group, at)
}

func (f *filler) value(v reflect.Value, data any, key string) {
	switch {
	case v.Kind() == reflect.Struct:
		f.group(v, data, key)
	case isList(v.Type()):
		f.list(v, data, key)
	default:
		if problem, right := set(v, data); problem != "" {
			f.fault(key, problem, right)
		}
	}
}

// list replaces the list of structs v by the entries in data.
func (f *filler) list(v reflect.Value, data any, key string) {
	if data == nil {
		return
	}
	items, ok := data.([]any)
	if !ok {
		f.fault(key, "it has to be a list, not "+kindOf(data), "begin each entry with a dash")
		return
	}
	v.SetZero() // nil for an empty list, as by default
	if len(items) == 0 {
		return
	}
	out := reflect.MakeSlice(v.Type(), len(items), len(items))
	for i, item := range items {
		at := fmt.Sprintf("%s[%d]", key, i)
		if _, ok := item.(map[string]any); !ok {
			f.fault(at, "it has to be a group of keys, not "+kindOf(item), "remove the entry, or write its keys")
			f.unread = append(f.unread, at+".")
			continue
		}
		out.Index(i).Set(f.fresh(v.Type().Elem()))
		f.group(out.Index(i), item, at)
	}
	v.Set(out)
}

// field returns the field of the struct v for the key name. It also searches embedded structs.
func field(v reflect.Value, name string) (reflect.Value, bool) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Anonymous {
			if found, ok := field(v.Field(i), name); ok {
				return found, true
			}
		} else if f.Tag.Get("key") == name {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

// isList reports whether t is a list of structs. Only a file can set such a list, not a flag or an
// environment variable.
func isList(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct
}

// unknown adds a fault for an unknown key. It suggests a similar key in the group, or the same
// key elsewhere.
func (f *filler) unknown(t reflect.Type, name, at string) {
	prefix := at
	if at != "" {
		prefix += "."
	}
	right := ""
	all := fileKeys(reflect.TypeFor[Config](), "")
	if near := nearest(name, names(t)); near != "" {
		right = "did you mean " + prefix + near + "?"
	} else if i := slices.IndexFunc(all, func(k string) bool { return strings.HasSuffix(k, "."+name) }); i >= 0 {
		right = "did you mean " + all[i] + "?"
	}
	if strings.Contains(name, ".") && slices.Contains(all, prefix+name) {
		right = "write it in groups: " + strings.ReplaceAll(name, ".", ": {") + ": …" + strings.Repeat("}", strings.Count(name, "."))
	}
	f.fault(prefix+name, "there is no such key", right)
}

// names returns the keys of the struct type t, including those of embedded structs.
func names(t reflect.Type) (out []string) {
	for i := range t.NumField() {
		if f := t.Field(i); f.Anonymous {
			out = append(out, names(f.Type)...)
		} else {
			out = append(out, f.Tag.Get("key"))
		}
	}
	return out
}

func kindOf(data any) string {
	switch data.(type) {
	case map[string]any:
		return "a group of keys"
	case []any:
		return "a list"
	case nil:
		return "nothing"
	}
	return "a value"
}

// dropUnread removes the faults of list entries that could not be read, because these were validated
// without their values.
func (f *filler) dropUnread(faults Faults) Faults {
	return slices.DeleteFunc(faults, func(fault Fault) bool {
		return slices.ContainsFunc(f.unread, func(at string) bool { return strings.HasPrefix(fault.Key, at) })
	})
}
