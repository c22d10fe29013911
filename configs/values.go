package configs

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/go-viper/mapstructure/v2"
)

// AutoDuration is a duration, or Auto.
type AutoDuration time.Duration

// Auto leaves the duration to the relay.
const Auto AutoDuration = -1

func (d AutoDuration) String() string {
	if d == Auto {
		return "auto"
	}
	return time.Duration(d).String()
}

// Size is a number of bytes.
type Size int64

func (s Size) String() string {
	for _, u := range []struct {
		name string
		unit Size
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if s >= u.unit && s%u.unit == 0 {
			return strconv.FormatInt(int64(s/u.unit), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// parseSize reads 64MiB, 64MB, 500k or a plain number of bytes.
func parseSize(s string) (Size, error) {
	units := []struct {
		name string
		unit float64
	}{
		{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9},
		{"k", 1e3}, {"M", 1e6}, {"G", 1e9}, {"B", 1}, {"", 1},
	}
	for _, u := range units {
		number, ok := strings.CutSuffix(s, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || n < 0 || n*u.unit > 1<<50 {
			break
		}
		return Size(n * u.unit), nil
	}
	return 0, fmt.Errorf("%q is not a size; write it like 64MiB", s)
}

var (
	errAuto     = errors.New(`write auto, or a duration like 2s or 500ms`)
	errDuration = errors.New(`write a duration like 10s, 500ms or 1m`)
)

var (
	durationType = reflect.TypeFor[time.Duration]()
	autoType     = reflect.TypeFor[AutoDuration]()
	sizeType     = reflect.TypeFor[Size]()
)

// decodeValue turns what YAML, flags and the environment have into our types. Durations need
// their unit: a bare number is more often a mistake than nanoseconds.
func decodeValue(from, to reflect.Type, data any) (any, error) {
	if from == to {
		return data, nil
	}
	text := fmt.Sprint(data)
	switch to {
	case durationType:
		if text == "0" {
			return time.Duration(0), nil
		}
		d, err := time.ParseDuration(text)
		if err != nil {
			return nil, fmt.Errorf("%q is not a duration; %w", text, errDuration)
		}
		return d, nil
	case autoType:
		if text == "auto" {
			return Auto, nil
		}
		if text == "0" {
			return AutoDuration(0), nil
		}
		d, err := time.ParseDuration(text)
		if err != nil {
			return nil, fmt.Errorf("%q is neither auto nor a duration; %w", text, errAuto)
		}
		return AutoDuration(d), nil
	case sizeType:
		return parseSize(text)
	}
	return data, nil
}

var hooks = mapstructure.ComposeDecodeHookFunc(
	mapstructure.DecodeHookFuncType(decodeValue),
	mapstructure.StringToSliceHookFunc(","),
)
