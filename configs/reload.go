package configs

import (
	"reflect"
	"slices"
	"strings"
)

// fixed lists the keys whose changes require a restart. An entry that ends in "." is a prefix of keys.
var fixed = []string{
	"rtmp.", "rtmps.", "http.listen", "http.cert", "http.key", "admin.listen", "webrtc.",
	"limits.connections", "limits.per_address", "limits.handshake_timeout", "limits.bridges", "limits.child_memory", "log.format", "state.", "resume.",
}

func isFixed(key string) bool {
	return slices.ContainsFunc(fixed, func(f string) bool {
		return key == f || strings.HasSuffix(f, ".") && strings.HasPrefix(key, f)
	})
}

// Reload compares the current configuration was with a new one, now. It returns the configuration in force
// after the reload. That is the new one, except that keys that require a restart keep their old values.
// live lists the changed keys that take effect at once, and restart those that require a restart. A list
// counts as one key.
func Reload(was, now *Config) (inForce *Config, live, restart []string) {
	merged := *now
	compare(reflect.ValueOf(*was), reflect.ValueOf(&merged).Elem(), "", func(key string, was, now reflect.Value) {
		if isFixed(key) {
			restart = append(restart, key)
			now.Set(was)
		} else {
			live = append(live, key)
		}
	})
	if slices.Contains(restart, "admin.listen") {
		// The token was required for the new address only.
		if i := slices.Index(live, "admin.token"); i >= 0 {
			merged.Admin.Token = was.Admin.Token
			live, restart = slices.Delete(live, i, i+1), append(restart, "admin.token")
		}
	}
	return &merged, live, restart
}

// compare calls the function differ for every key whose value is not the same in was and now.
func compare(was, now reflect.Value, prefix string, differ func(key string, was, now reflect.Value)) {
	for i := range was.NumField() {
		name := prefix + was.Type().Field(i).Tag.Get("key")
		if was.Field(i).Kind() == reflect.Struct {
			compare(was.Field(i), now.Field(i), name+".", differ)
			continue
		}
		if !same(was.Field(i), now.Field(i)) {
			differ(name, was.Field(i), now.Field(i))
		}
	}
}

// same reports whether two values are equal. An empty list equals nil.
func same(a, b reflect.Value) bool {
	if a.Kind() == reflect.Slice && a.Len() == 0 && b.Len() == 0 {
		return true
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}
