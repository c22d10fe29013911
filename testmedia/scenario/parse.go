package scenario

import (
	"errors"
	"fmt"
	"strings"
)

const separator = "----"

// story is a file taken apart so that it can be put together again: what is not output
// stays byte for byte.
type story struct {
	steps []step
	tail  []string // lines behind the last step
}

type step struct {
	lead []string // prose and empty lines before the command
	head []string // the command and its input, as they stand
	cmd  Command
	want string // with a newline at its end, or empty
}

// lines hands out a file's lines.
type lines struct {
	all  []string
	next int
}

func (l *lines) more() bool { return l.next < len(l.all) }

func (l *lines) peek() string {
	if l.next >= len(l.all) {
		return ""
	}
	return l.all[l.next]
}

func (l *lines) take() string {
	l.next++
	return l.all[l.next-1]
}

func parse(path, text string) (story, error) {
	text = strings.TrimSuffix(text, "\n")
	in := &lines{all: strings.Split(text, "\n")}
	var s story
	var lead []string
	for in.more() {
		if line := in.peek(); line == "" || strings.HasPrefix(line, "#") {
			lead = append(lead, in.take())
			continue
		}
		pos := fmt.Sprintf("%s:%d", path, in.next+1)
		st, err := parseStep(in)
		if err != nil {
			return story{}, fmt.Errorf("%s: %w", pos, err)
		}
		st.lead, st.cmd.Pos = lead, pos
		lead = nil
		s.steps = append(s.steps, st)
	}
	s.tail = lead
	return s, nil
}

func parseStep(in *lines) (step, error) {
	var st step
	if in.peek() == separator {
		return step{}, errors.New("output without a command")
	}
	for in.more() && in.peek() != "" && in.peek() != separator {
		st.head = append(st.head, in.take())
	}
	words, err := split(st.head[0])
	if err != nil {
		return step{}, err
	}
	st.cmd = Command{Name: words[0], Args: words[1:], Input: strings.Join(st.head[1:], "\n")}
	if in.peek() != separator {
		return st, nil
	}
	in.take()
	st.want, err = parseOutput(in)
	return st, err
}

// parseOutput reads what stands behind a separator.
func parseOutput(in *lines) (string, error) {
	var out strings.Builder
	if in.peek() != separator {
		for in.more() && in.peek() != "" {
			out.WriteString(in.take() + "\n")
		}
		return out.String(), nil
	}
	in.take()
	for in.more() {
		line := in.take()
		if line == separator && in.peek() == separator {
			in.take()
			return out.String(), nil
		}
		out.WriteString(line + "\n")
	}
	return "", errors.New("output without its closing lines")
}

// split cuts a line at blanks outside of double quotes; \" and \\ stand for themselves
// within quotes.
func split(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	inWord, quoted := false, false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case quoted && c == '\\' && i+1 < len(line) && (line[i+1] == '"' || line[i+1] == '\\'):
			i++
			word.WriteByte(line[i])
		case c == '"':
			quoted, inWord = !quoted, true
		case !quoted && (c == ' ' || c == '\t'):
			if inWord {
				words = append(words, word.String())
				word.Reset()
				inWord = false
			}
		default:
			inWord = true
			word.WriteByte(c)
		}
	}
	if quoted {
		return nil, errors.New("quote without an end")
	}
	if inWord {
		words = append(words, word.String())
	}
	if len(words) == 0 || words[0] == "" {
		return nil, errors.New("command without a name")
	}
	return words, nil
}

// format puts the story together again.
func (s story) format() string {
	var out strings.Builder
	write := func(lines []string) {
		for _, l := range lines {
			out.WriteString(l + "\n")
		}
	}
	for _, st := range s.steps {
		write(st.lead)
		write(st.head)
		double := strings.HasPrefix(st.want, "\n") || strings.Contains(st.want, "\n\n") ||
			strings.HasPrefix(st.want, separator+"\n")
		switch {
		case st.want == "":
		case double:
			out.WriteString(separator + "\n" + separator + "\n" + st.want + separator + "\n" + separator + "\n")
		default:
			out.WriteString(separator + "\n" + st.want)
		}
	}
	write(s.tail)
	return out.String()
}
