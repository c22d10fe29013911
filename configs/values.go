package configs

import (
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// AutoDuration is a duration, or Auto.
type AutoDuration time.Duration

// Auto means that the relay chooses the duration.
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

// AutoSize is a number of bytes, or AutoBytes.
type AutoSize Size

// AutoBytes means that the relay chooses the size.
const AutoBytes AutoSize = -1

func (s AutoSize) String() string {
	if s == AutoBytes {
		return "auto"
	}
	return Size(s).String()
}

var number = regexp.MustCompile(`^[0-9]{1,18}(\.[0-9]{1,18})?$`)

var units = []struct {
	name string
	unit float64
}{
	{"KiB", 1 << 10},
	{"MiB", 1 << 20},
	{"GiB", 1 << 30},
	{"KB", 1e3},
	{"MB", 1e6},
	{"GB", 1e9},
	{"k", 1e3},
	{"M", 1e6},
	{"G", 1e9},
	{"B", 1},
	{"", 1},
}

// parseSize parses 64MiB, 64MB, 500k or a plain number of bytes.
func parseSize(s string) (Size, bool) {
	for _, u := range units {
		digits, ok := strings.CutSuffix(s, u.name)
		if !ok {
			continue
		}
		digits = strings.TrimSpace(digits)
		n, err := strconv.ParseFloat(digits, 64)
		if err != nil || !number.MatchString(digits) || n*u.unit > 1<<50 {
			return 0, false
		}
		return Size(n * u.unit), true
	}
	return 0, false
}

// parseDuration parses a duration. It requires a unit except for 0, because a number without a unit is
// most likely a mistake. It rejects negative durations.
func parseDuration(s string) (time.Duration, bool) {
	if s == "0" {
		return 0, true
	}
	d, err := time.ParseDuration(s)
	return d, err == nil && d >= 0
}

// parse sets d to the value of text, which must be "auto" or a duration. For anything else it returns a
// description of what is expected, and an example.
func (d *AutoDuration) parse(text string) (kind, example string) {
	n, ok := time.Duration(Auto), text == "auto"
	if !ok {
		n, ok = parseDuration(text)
	}
	if !ok {
		return "auto or a duration", "auto, or a duration like 2s or 500ms"
	}
	*d = AutoDuration(n)
	return "", ""
}

// parse sets s to the value of text, which must be "auto" or a size. For anything else it returns a
// description of what is expected, and an example.
func (s *AutoSize) parse(text string) (kind, example string) {
	n, ok := Size(AutoBytes), text == "auto"
	if !ok {
		n, ok = parseSize(text)
	}
	if !ok {
		return "auto or a size", "auto, or a size like 2GiB"
	}
	*s = AutoSize(n)
	return "", ""
}

// set sets the field v to data, a string or a list from a file, a flag or an environment variable. If data
// is not valid, set returns what is wrong with it and what would be correct.
func set(v reflect.Value, data any) (problem, right string) {
	if list, ok := v.Addr().Interface().(*[]string); ok {
		return setTexts(list, data)
	}
	text, ok := data.(string)
	if data == nil {
		return "it has no value", "write one, or remove the key"
	}
	if !ok {
		return "it has to be a value, not " + kindOf(data), ""
	}
	fails := func(what, example string) (string, string) {
		return fmt.Sprintf("%q is not %s", text, what), "write " + example
	}
	switch p := v.Addr().Interface().(type) {
	case *string:
		*p = text
	case *bool:
		if text != "true" && text != "false" {
			return fails("a switch", "true or false")
		}
		*p = text == "true"
	case *int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return fails("a whole number", "one like 100")
		}
		*p = n
	case *float64:
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || !number.MatchString(text) {
			return fails("a number", "one like 2 or 0.5")
		}
		*p = n
	case *time.Duration:
		d, ok := parseDuration(text)
		if !ok {
			return fails("a duration", "a duration like 10s, 500ms or 1m")
		}
		*p = d
	case interface {
		parse(string) (kind, example string)
	}:
		if kind, example := p.parse(text); kind != "" {
			return fails(kind, example)
		}
	case *Size:
		n, ok := parseSize(text)
		if !ok {
			return fails("a size", "one like 64MiB")
		}
		*p = n
	default:
		panic(fmt.Sprintf("configs: a key of type %s", v.Type())) // a bug in Config, which a test detects
	}
	return "", ""
}

// setTexts sets a list of strings to data. data is a list, or a string with entries separated by commas,
// as in flags and environment variables.
func setTexts(list *[]string, data any) (problem, right string) {
	const example = "write [a, b], or a, b"
	switch data := data.(type) {
	case string:
		*list = nil
		if data = strings.TrimSpace(data); data == "" {
			return "", ""
		}
		for s := range strings.SplitSeq(data, ",") {
			*list = append(*list, strings.TrimSpace(s))
		}
	case []any:
		var out []string // nil if empty, as by default
		for _, item := range data {
			s, ok := item.(string)
			if !ok {
				return "an entry is " + kindOf(item), example
			}
			out = append(out, s)
		}
		*list = out
	default:
		return "it has to be a list, not " + kindOf(data), example
	}
	return "", ""
}
