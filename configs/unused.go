package configs

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// laterStream are the keys of streams that this version reads and checks, and does nothing with.
var laterStream = []string{"backup_return"}

// unused tells which of these keys are set, wherever, to something other than the default.
func unused(cfg *Config) (out []string) {
	say := func(key string) {
		out = append(out, key+" is set, and this version does nothing with it yet")
	}
	def := Default()
	compare(reflect.ValueOf(def), reflect.ValueOf(*cfg), "", func(key string, _, _ reflect.Value) {
		ofStream, isStream := strings.CutPrefix(key, "defaults.")
		if isStream && begins(ofStream, laterStream) {
			say(key)
		}
	})
	for i := range cfg.Streams {
		compare(reflect.ValueOf(cfg.Defaults), reflect.ValueOf(cfg.Streams[i].Stream), "", func(key string, _, _ reflect.Value) {
			if begins(key, laterStream) {
				say(fmt.Sprintf("streams[%d].%s", i, key))
			}
		})
	}
	return out
}

// begins tells whether the first part of a key is one of these.
func begins(key string, with []string) bool {
	first, _, _ := strings.Cut(key, ".")
	return slices.Contains(with, first)
}
