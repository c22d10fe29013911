package main

import (
	"fmt"
	"io"
	"log/slog"
	"math"
	"reflect"
	"strings"
	"time"

	"github.com/holdfast-live/holdfast/cmd/internal/app"
	"github.com/holdfast-live/holdfast/configs"
)

// logger returns a logger that writes to w as configured, and its level.
func logger(cfg *configs.Config, w io.Writer) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	level.Set(app.Level(cfg.Log.Level))
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: readable}
	if cfg.Log.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options)), level
	}
	return slog.New(slog.NewTextHandler(w, options)), level
}

// readable writes durations as text such as 1.5s, also in JSON, where they would be nanoseconds.
// Numbers of seconds, as in events for programs, become durations, under a key without the unit.
func readable(_ []string, a slog.Attr) slog.Attr {
	switch a.Value.Kind() { //nolint:exhaustive // the others contain no duration
	case slog.KindDuration:
		return slog.String(a.Key, short(a.Value.Duration()))
	case slog.KindFloat64:
		if name, ok := secondsOf(a.Key); ok {
			return slog.String(name, short(fromSeconds(a.Value.Float64())))
		}
	case slog.KindAny:
		if text, ok := timesIn(a.Value.Any()); ok {
			return slog.Any(a.Key, text)
		}
	}
	return a
}

// secondsOf returns the key without the suffix for seconds, if it has one.
func secondsOf(key string) (name string, ok bool) {
	if key == "seconds" {
		return "took", true
	}
	return strings.CutSuffix(key, "_seconds")
}

// fromSeconds converts seconds to a duration, saturating at its limits.
func fromSeconds(s float64) time.Duration {
	ns := s * float64(time.Second)
	switch {
	case math.IsNaN(ns):
		return 0
	case ns >= math.MaxInt64:
		return math.MaxInt64
	case ns <= math.MinInt64:
		return math.MinInt64
	}
	return time.Duration(ns)
}

// short rounds a duration to about four digits.
func short(d time.Duration) string {
	for _, unit := range []time.Duration{time.Second, time.Millisecond, time.Microsecond} {
		if d.Abs() >= unit {
			return d.Round(unit / 1000).String()
		}
	}
	return d.String()
}

// timesIn returns the text of a value that is a named type of duration, or a list or map of
// durations.
func timesIn(value any) (text any, ok bool) {
	v := reflect.ValueOf(value)
	switch {
	case !v.IsValid():
		return nil, false
	case v.Kind() == reflect.Int64:
		if s, ok := value.(fmt.Stringer); ok {
			return s.String(), true
		}
	case v.Kind() == reflect.Pointer && v.Type().Elem() == reflect.TypeFor[time.Duration]() && !v.IsNil():
		return short(time.Duration(v.Elem().Int())), true
	case v.Kind() == reflect.Slice && v.Type().Elem() == reflect.TypeFor[time.Duration]():
		out := make([]string, v.Len())
		for i := range out {
			out[i] = short(time.Duration(v.Index(i).Int()))
		}
		return out, true
	case v.Kind() == reflect.Map && v.Type().Key().Kind() == reflect.String && v.Type().Elem() == reflect.TypeFor[time.Duration]():
		out := map[string]string{}
		for it := v.MapRange(); it.Next(); {
			out[it.Key().String()] = short(time.Duration(it.Value().Int()))
		}
		return out, true
	}
	return nil, false
}
