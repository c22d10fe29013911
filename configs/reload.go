package configs

import (
	"reflect"
	"slices"
	"strings"
)

// fixed are the keys, or beginnings of keys, that only a restart changes.
var fixed = []string{
	"rtmp.", "rtmps.", "http.listen", "http.cert", "http.key", "admin.listen", "webrtc.",
	"limits.connections", "limits.per_address", "limits.handshake_timeout", "log.format", "state.", "resume.",
}

// Changes compares two configurations: the keys that take effect at once, and those that need
// a restart. Lists count as one key.
func Changes(was, now *Config) (live, restart []string) {
	compare(reflect.ValueOf(*was), reflect.ValueOf(*now), "", func(key string) {
		if slices.ContainsFunc(fixed, func(f string) bool { return key == f || strings.HasSuffix(f, ".") && strings.HasPrefix(key, f) }) {
			restart = append(restart, key)
		} else {
			live = append(live, key)
		}
	})
	return live, restart
}

func compare(was, now reflect.Value, prefix string, differ func(key string)) {
	for i := range was.NumField() {
		name := prefix + was.Type().Field(i).Tag.Get("key")
		if was.Field(i).Kind() == reflect.Struct {
			compare(was.Field(i), now.Field(i), name+".", differ)
			continue
		}
		if !reflect.DeepEqual(was.Field(i).Interface(), now.Field(i).Interface()) {
			differ(name)
		}
	}
}
