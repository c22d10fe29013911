package rtmp

// Value is an AMF0 value: Number, Bool, String, Object, Null, Undefined, ECMAArray,
// StrictArray or Date.
type Value interface {
	appendTo(dst []byte) []byte
}

// Types that implement Value. References, movie clips, record sets, XML, typed objects and the switch to
// AMF3 are rejected. No encoder or player in use sends them, and each would enlarge the attack surface.
type (
	// Number is a number.
	Number float64
	// Bool is a boolean.
	Bool bool
	// String is a string, encoded as a long string if it has more than 65,535 bytes.
	String string
	// Null is the null value.
	Null struct{}
	// Undefined is the undefined value.
	Undefined struct{}
	// Object keeps its properties in the order of transmission.
	Object []Property
	// ECMAArray is an object with a count, which receivers ignore.
	ECMAArray []Property
	// StrictArray is an array of values.
	StrictArray []Value
	// Date is a time in milliseconds since 1970 in UTC, and a time zone, which is always 0.
	Date struct {
		Millis float64
		Zone   int16
	}
)

// Property is one entry of an Object or ECMAArray. A key has 1 to 65,535 bytes.
type Property struct {
	Key   string
	Value Value
}

// Find returns the value of the last property with that key, or nil.
func (o Object) Find(key string) Value { return findProperty(o, key) }

// Find returns the value of the last property with that key, or nil.
func (a ECMAArray) Find(key string) Value { return findProperty(a, key) }

func findProperty(ps []Property, key string) Value {
	for i := len(ps) - 1; i >= 0; i-- {
		if ps[i].Key == key {
			return ps[i].Value
		}
	}
	return nil
}

// Properties returns the properties of v if it is an Object or an ECMAArray, otherwise nil. Peers use
// the two types interchangeably.
func Properties(v Value) Object {
	switch v := v.(type) {
	case Object:
		return v
	case ECMAArray:
		return Object(v)
	}
	return nil
}

// Markers, section 2.1 of the AMF0 specification.
const (
	markNumber      = 0x00
	markBool        = 0x01
	markString      = 0x02
	markObject      = 0x03
	markNull        = 0x05
	markUndefined   = 0x06
	markECMAArray   = 0x08
	markObjectEnd   = 0x09
	markStrictArray = 0x0a
	markDate        = 0x0b
	markLongString  = 0x0c
	markUnsupported = 0x0d
)

const (
	// maxDepth bounds the nesting of objects and arrays.
	maxDepth  = 16
	maxString = 0xffff
)
