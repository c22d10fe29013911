package rtmp

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var amfTable = []struct {
	name  string
	wire  []byte
	value Value
}{
	{"number", []byte{0, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0}, Number(1)},
	{"true", []byte{1, 1}, Bool(true)},
	{"false", []byte{1, 0}, Bool(false)},
	{"string", []byte{2, 0, 2, 'h', 'i'}, String("hi")},
	{"empty string", []byte{2, 0, 0}, String("")},
	{"null", []byte{5}, Null{}},
	{"undefined", []byte{6}, Undefined{}},
	{
		"object, keys in order",
		[]byte{3, 0, 1, 'b', 1, 1, 0, 1, 'a', 5, 0, 0, 9},
		Object{{"b", Bool(true)}, {"a", Null{}}},
	},
	{"empty object", []byte{3, 0, 0, 9}, Object(nil)},
	{
		"object within an ECMA array",
		[]byte{8, 0, 0, 0, 1, 0, 1, 'a', 3, 0, 1, 'b', 5, 0, 0, 9, 0, 0, 9},
		ECMAArray{{"a", Object{{"b", Null{}}}}},
	},
	{"strict array", []byte{10, 0, 0, 0, 2, 5, 1, 1}, StrictArray{Null{}, Bool(true)}},
	{"empty strict array", []byte{10, 0, 0, 0, 0}, StrictArray(nil)},
	{"date", []byte{11, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, Date{Millis: 1, Zone: -1}},
	{"long string", AppendAMF(nil, String(strings.Repeat("x", 70000))), String(strings.Repeat("x", 70000))},
}

func TestAMF(t *testing.T) {
	for _, tt := range amfTable {
		t.Run(tt.name, func(t *testing.T) {
			got, err := DecodeAMF(tt.wire)
			if err != nil || !reflect.DeepEqual(got, []Value{tt.value}) {
				t.Fatalf("decoded: got %#v, %v, want %#v", got, err, tt.value)
			}
			if back := AppendAMF(nil, got...); !bytes.Equal(back, tt.wire) {
				t.Fatalf("encoded: got % x, want % x", back, tt.wire)
			}
			for n := 1; n < len(tt.wire) && n < 50; n++ {
				if _, err := DecodeAMF(tt.wire[:n]); !errors.Is(err, ErrBadAMF) {
					t.Fatalf("first %d bytes: got %v, want ErrBadAMF", n, err)
				}
			}
		})
	}
}

func nested(mark []byte, depth int) []byte { return bytes.Repeat(mark, depth) }

func TestAMFRejects(t *testing.T) {
	tests := map[string][]byte{
		"strict array of 2^31-1":       {10, 0x7f, 0xff, 0xff, 0xff},
		"strict array of 2^32-1":       {10, 0xff, 0xff, 0xff, 0xff, 5, 5},
		"long string of 4 GB":          {12, 0xff, 0xff, 0xff, 0xff, 'x'},
		"objects nested in 4 MB":       nested([]byte{3, 0, 1, 'a'}, 1<<20),
		"arrays nested":                nested([]byte{10, 0, 0, 0, 1}, 100),
		"one level too deep":           append(nested([]byte{10, 0, 0, 0, 1}, maxDepth+1), 5),
		"switch to AMF3":               {0x11, 1},
		"reference":                    {7, 0, 0},
		"movie clip":                   {4, 0, 0},
		"record set":                   {14},
		"XML":                          {15, 0, 0, 0, 0},
		"typed object":                 {16, 0, 1, 'a', 0, 0, 9},
		"object end alone":             {9},
		"property without a name":      {3, 0, 0, 5},
		"object without its end":       {3, 0, 1, 'a', 5},
		"ECMA array without its count": {8, 0, 0},
	}
	for name, p := range tests {
		if _, err := DecodeAMF(p); !errors.Is(err, ErrBadAMF) {
			t.Errorf("%s: decoding: got %v, want ErrBadAMF", name, err)
		}
		if err := ValidateAMF(p); !errors.Is(err, ErrBadAMF) {
			t.Errorf("%s: validating: got %v, want ErrBadAMF", name, err)
		}
	}
	if err := ValidateAMF(append(nested([]byte{10, 0, 0, 0, 1}, maxDepth), 5)); err != nil {
		t.Errorf("nested as deep as allowed: got %v, want no error", err)
	}
}

func drawValue(t *rapid.T, depth int) Value {
	kinds := 6
	if depth < 4 {
		kinds = 9
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		return Number(rapid.Float64().Draw(t, "number"))
	case 1:
		return Bool(rapid.Bool().Draw(t, "bool"))
	case 2:
		return String(rapid.String().Draw(t, "string"))
	case 3:
		return Null{}
	case 4:
		return Undefined{}
	case 5:
		return Date{Millis: rapid.Float64().Draw(t, "millis"), Zone: rapid.Int16().Draw(t, "zone")}
	case 6:
		return Object(drawProperties(t, depth))
	case 7:
		return ECMAArray(drawProperties(t, depth))
	}
	var a StrictArray
	for range rapid.IntRange(0, 3).Draw(t, "count") {
		a = append(a, drawValue(t, depth+1))
	}
	return a
}

func drawProperties(t *rapid.T, depth int) (ps []Property) {
	for range rapid.IntRange(0, 3).Draw(t, "count") {
		ps = append(ps, Property{rapid.StringN(1, 20, -1).Draw(t, "key"), drawValue(t, depth+1)})
	}
	return ps
}

func TestAMFRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := drawValue(t, 0)
		wire := AppendAMF(nil, v)
		got, err := DecodeAMF(wire)
		if err != nil || !bytes.Equal(AppendAMF(nil, got...), wire) || len(got) != 1 {
			t.Fatalf("got %#v, %v, want %#v", got, err, v)
		}
		if err := ValidateAMF(wire); err != nil {
			t.Fatal(err)
		}
	})
}

func TestProperties(t *testing.T) {
	o := Object{{"a", Number(1)}, {"a", Number(2)}, {"", Null{}}}
	if o.Find("a") != Number(2) || o.Find("b") != nil || ECMAArray(o).Find("a") != Number(2) {
		t.Error("Find: want the last property with the key")
	}
	if Properties(ECMAArray(o)).Find("a") != Number(2) || Properties(Null{}) != nil || Properties(o) == nil {
		t.Error("Properties: want the content of objects and arrays only")
	}
	if got := AppendAMF(nil, o[2:]); !bytes.Equal(got, []byte{3, 0, 0, 9}) {
		t.Errorf("property with no name: got % x, want an empty object", got)
	}
	if got := AppendAMF(nil, nil); !bytes.Equal(got, []byte{markNull}) {
		t.Errorf("nil: got % x, want null", got)
	}
}

func TestCommand(t *testing.T) {
	c := Command{Name: "play", Transaction: 4, Args: []Value{Null{}, String("cam"), Number(-2), Bool(true)}}
	got, err := ParseCommand(AppendCommand(nil, c))
	if err != nil || !reflect.DeepEqual(got, c) {
		t.Fatal(got, err)
	}
	if got.StringArg(1) != "cam" || got.NumberArg(2) != -2 || !got.BoolArg(3) || got.Arg(9) != (Undefined{}) ||
		got.Arg(-1) != (Undefined{}) || got.StringArg(0) != "" || got.NumberArg(1) != 0 || got.BoolArg(1) {
		t.Error("arguments: got other values or types than sent")
	}
	for name, p := range map[string][]byte{"empty": nil, "no name": AppendAMF(nil, Number(1)), "broken": {2, 0}} {
		if _, err := ParseCommand(p); !errors.Is(err, ErrBadAMF) {
			t.Errorf("%s: got %v, want ErrBadAMF", name, err)
		}
	}
	if c, err := ParseCommand(AppendAMF(nil, String("FCUnpublish"), Null{}, String("cam"))); err != nil || c.StringArg(1) != "cam" {
		t.Errorf("without a transaction: got %v, %v, want argument cam", c, err)
	}
}

// FuzzAMF checks that validating and decoding agree, and that decoded values encode to bytes that
// decode to the same.
func FuzzAMF(f *testing.F) {
	for _, tt := range amfTable {
		f.Add(tt.wire[:min(len(tt.wire), 200)])
	}
	f.Add(slices.Concat(nested([]byte{3, 0, 1, 'a'}, 20), []byte{10, 0x7f, 0xff, 0xff, 0xff}))
	f.Fuzz(func(t *testing.T, p []byte) {
		values, err := DecodeAMF(p)
		if (ValidateAMF(p) == nil) != (err == nil) {
			t.Fatalf("got %v when decoding, %v when validating", err, ValidateAMF(p))
		}
		if err != nil {
			return
		}
		wire := AppendAMF(nil, values...)
		again, err := DecodeAMF(wire)
		if err != nil || !bytes.Equal(AppendAMF(nil, again...), wire) {
			t.Fatalf("% x: %v", wire, err)
		}
		_, _ = ParseCommand(p)
	})
}

func TestNumbersKeepTheirBits(t *testing.T) {
	for _, n := range []float64{math.NaN(), math.Inf(1), math.Copysign(0, -1), math.MaxFloat64} {
		wire := AppendAMF(nil, Number(n))
		got, err := DecodeAMF(wire)
		if err != nil || !bytes.Equal(AppendAMF(nil, got...), wire) {
			t.Error(n, got, err)
		}
	}
}
