package rtmp

import "fmt"

// Command is a command message: a call or the response to a call.
type Command struct {
	Name        string
	Transaction float64
	Args        []Value // the first is the command object, usually Null
}

// ParseCommand decodes the payload of a command message of type 20. For a message of type 17, the caller
// must remove the leading byte.
func ParseCommand(p []byte) (Command, error) {
	values, err := DecodeAMF(p)
	if err != nil {
		return Command{}, fmt.Errorf("rtmp: parse command: %w", err)
	}
	var c Command
	if len(values) == 0 {
		return Command{}, fmt.Errorf("rtmp: parse command: %w: empty", ErrBadAMF)
	}
	name, ok := values[0].(String)
	if !ok {
		return Command{}, fmt.Errorf("rtmp: parse command: %w: name is a %T", ErrBadAMF, values[0])
	}
	c.Name = string(name)
	c.Args = values[1:]
	// Some encoders omit the transaction if they expect no response.
	if len(values) > 1 {
		if n, ok := values[1].(Number); ok {
			c.Transaction = float64(n)
			c.Args = values[2:]
		}
	}
	return c, nil
}

// AppendCommand appends the payload of a command message.
func AppendCommand(dst []byte, c Command) []byte {
	dst = AppendAMF(dst, String(c.Name), Number(c.Transaction))
	return AppendAMF(dst, c.Args...)
}

// Arg returns argument i, or Undefined if there is none.
func (c Command) Arg(i int) Value {
	if i < 0 || i >= len(c.Args) {
		return Undefined{}
	}
	return c.Args[i]
}

// StringArg returns argument i if it is a string, otherwise "".
func (c Command) StringArg(i int) string {
	s, _ := c.Arg(i).(String)
	return string(s)
}

// NumberArg returns argument i if it is a number, otherwise 0.
func (c Command) NumberArg(i int) float64 {
	n, _ := c.Arg(i).(Number)
	return float64(n)
}

// BoolArg returns argument i if it is a boolean, otherwise false.
func (c Command) BoolArg(i int) bool {
	b, _ := c.Arg(i).(Bool)
	return bool(b)
}
