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

// logger returns a logger that writes to w in the configured format, and the variable that holds its level.
func logger(cfg *configs.Config, w io.Writer) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	level.Set(app.Level(cfg.Log.Level))
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: readable}
	if cfg.Log.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options)), level
	}
	return slog.New(slog.NewTextHandler(w, options)), level
}

// readable converts durations to text such as 1.5s, also in JSON, where slog writes nanoseconds. It
// converts numbers of seconds, as contained in the events of the API, too, and removes the unit from their
// keys.
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

// secondsOf returns the key without its suffix "_seconds". ok is false if the key does not name seconds.
func secondsOf(key string) (name string, ok bool) {
	if key == "seconds" {
		return "took", true
	}
	return strings.CutSuffix(key, "_seconds")
}

// fromSeconds converts seconds to a duration, limited to the range of time.Duration.
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

// short returns the text of a duration, rounded to a thousandth of its unit.
func short(d time.Duration) string {
	for _, unit := range []time.Duration{time.Second, time.Millisecond, time.Microsecond} {
		if d.Abs() >= unit {
			return d.Round(unit / 1000).String()
		}
	}
	return d.String()
}

// timesIn returns the value as text if it is a named duration type with a String method, a pointer to a
// duration, or a list or map of durations. ok is false for other values.
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
