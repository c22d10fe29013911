package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/configs"
)

// Durations are text everywhere in a line.
func TestLogTimes(t *testing.T) {
	cfg := configs.Default()
	cfg.Log.Format = "json"
	var out bytes.Buffer
	log, _ := logger(&cfg, &out)
	moment := 1500 * time.Millisecond
	log.With("timeout", 10*time.Second).WithGroup("in").Info("draining", "timeout", moment, slog.Group("deeper", "gap", 93715*time.Nanosecond),
		"seconds", 9.3715e-05, "outage_seconds", 3.0214567, "most", configs.Auto, "waits", []time.Duration{time.Second, time.Minute}, "by", map[string]time.Duration{"a": time.Hour},
		"at", &moment, "bitrate", 2.5, "n", 7, "err", errors.New("no"), "never_seconds", math.Inf(1))
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%v: got %s", err, &out)
	}
	delete(got, "time")
	want := map[string]any{"level": "INFO", "msg": "draining", "timeout": "10s", "in": map[string]any{
		"timeout": "1.5s", "deeper": map[string]any{"gap": "93.715µs"}, "took": "93.715µs", "outage": "3.021s", "most": "auto",
		"waits": []any{"1s", "1m0s"}, "by": map[string]any{"a": "1h0m0s"}, "at": "1.5s", "bitrate": 2.5, "n": 7.0, "err": "no", "never": time.Duration(math.MaxInt64).Round(time.Millisecond).String(),
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestLogTimesInText(t *testing.T) {
	cfg := configs.Default()
	var out bytes.Buffer
	log, _ := logger(&cfg, &out)
	log.Info("route", "seconds", 9.3715e-05, "detect_seconds", 1.0171234)
	if !strings.Contains(out.String(), "took=93.715µs detect=1.017s") {
		t.Error(out.String())
	}
}
