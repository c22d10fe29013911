package configs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Limits of a configuration file. Without them, YAML aliases could make its content arbitrarily large.
const (
	maxFile  = 1 << 20 // bytes
	maxNodes = 100_000
	maxDepth = 32
)

// asRelay is the hint for a file that the current user may not read.
const asRelay = "run it with sudo, or as the user of the relay"

// readFile reads a YAML file into groups (map[string]any), lists ([]any), strings, and nil for null. All
// scalars are strings as written, so that a secret made of digits is unchanged.
func readFile(file string) (map[string]any, Faults) {
	tree, _, faults := readPlaced(file)
	return tree, faults
}

// readPlaced is like readFile, and also returns the lines of the keys.
func readPlaced(file string) (map[string]any, places, Faults) {
	at := places{file: file}
	b, err := readBounded(file)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, at, Faults{{Problem: "there is no file " + file, Right: "name one that exists with --config"}}
	case errors.Is(err, os.ErrPermission):
		return nil, at, Faults{{Problem: "the file cannot be read: " + err.Error(), Right: asRelay}}
	case err != nil:
		return nil, at, Faults{{Problem: "the file cannot be read: " + err.Error(), Right: "name one that can be read with --config"}}
	}
	tree, lines, err := parsePlaced(b)
	if err != nil {
		faults := syntaxFaults(b, err)
		at.setPlaces(faults, nil)
		return nil, at, faults
	}
	at.lines = lines
	return tree, at, nil
}

// maxTabs is the maximum number of reported lines with tabs.
const maxTabs = 10

var lineOf = regexp.MustCompile(`\bline (\d+):`)

// syntaxFaults converts err, an error of the YAML parser about the content b, to faults.
func syntaxFaults(b []byte, err error) Faults {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 1
	if m := lineOf.FindStringSubmatch(text); m != nil {
		line, _ = strconv.Atoi(m[1])              // digits; 0 if out of range
		text = strings.TrimPrefix(text, m[0]+" ") // the place contains it
	}
	if strings.Contains(text, "cannot start any token") || strings.Contains(text, "tab") {
		if faults := tabs(b); len(faults) > 0 {
			return faults
		}
	}
	return Faults{{Problem: text, Right: "it has to be YAML, groups of keys as in configs/holdfast.yaml", Line: line}}
}

// tabs returns a fault for each line that is indented with tabs, up to maxTabs. It ignores comments.
func tabs(b []byte) (faults Faults) {
	n := 0
	for line := range bytes.Lines(b) {
		n++
		text := bytes.TrimLeft(line, " \t")
		if !bytes.ContainsRune(line[:len(line)-len(text)], '\t') || len(bytes.TrimSpace(text)) == 0 || text[0] == '#' {
			continue
		}
		if faults = append(faults, Fault{Problem: "indented with a tab", Right: "YAML indents with spaces", Line: n}); len(faults) == maxTabs {
			break
		}
	}
	return faults
}

// readable returns a hint for the case that the file named by a key could not be read because of err.
func readable(err error) string {
	if errors.Is(err, os.ErrPermission) {
		return "make it readable for the user of the relay; for a check alone, " + asRelay
	}
	return "name a file that can be read"
}

func readBounded(file string) ([]byte, error) {
	f, err := os.Open(file) //nolint:gosec // the operator's own file
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = fmt.Errorf("%s has more than %d bytes", file, maxFile)
	}
	return b, err
}

// parseYAML parses a document that is empty or has a group of keys at its top level.
func parseYAML(b []byte) (map[string]any, error) {
	tree, _, err := parsePlaced(b)
	return tree, err
}

// parsePlaced is like parseYAML, and also returns the lines of the keys.
func parsePlaced(b []byte) (tree map[string]any, lines map[string]int, err error) {
	d := yaml.NewDecoder(bytes.NewReader(b))
	var doc yaml.Node
	if err := d.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil, nil
	} else if err != nil {
		return nil, nil, err
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, nil, errors.New("there is more than one document, or something behind the first")
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		return nil, nil, errors.New("it holds nothing that can be read")
	}
	p := &parser{left: maxNodes, lines: map[string]int{}}
	top, err := p.value(doc.Content[0], 0, "")
	if err != nil {
		return nil, nil, err
	}
	switch top := top.(type) {
	case nil:
		return nil, nil, nil
	case map[string]any:
		return top, p.lines, nil
	}
	return nil, nil, errors.New("it does not begin with a group of keys")
}

// parser converts YAML nodes to values.
type parser struct {
	left  int            // number of nodes that may follow
	lines map[string]int // lines of keys and list entries
}

const (
	maxKeyLength = 200    // maximum length in bytes of keys with recorded lines; all known keys are shorter
	noKey        = "\x00" // replaces longer keys and all keys within them
)

// joinKey returns the full key of the element part within the key at.
func joinKey(at, part string) string {
	if at == noKey || len(at)+len(part) > maxKeyLength {
		return noKey
	}
	if at == "" || part[0] == '[' {
		return at + part
	}
	return at + "." + part
}

// setLine records the line of a key, unless it is known already.
func (p *parser) setLine(key string, n *yaml.Node) {
	if _, known := p.lines[key]; !known && key != noKey {
		p.lines[key] = n.Line
	}
}

// value converts a node. at is the node's key.
func (p *parser) value(n *yaml.Node, depth int, at string) (any, error) {
	if p.left--; p.left < 0 || depth > maxDepth {
		return nil, errors.New("it is too large or too deep")
	}
	switch n.Kind {
	case yaml.AliasNode:
		return p.value(n.Alias, depth+1, at)
	case yaml.MappingNode:
		return p.group(n, depth, at)
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for i, item := range n.Content {
			key := joinKey(at, fmt.Sprintf("[%d]", i))
			p.setLine(key, item)
			v, err := p.value(item, depth+1, key)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	case yaml.ScalarNode:
		if n.ShortTag() == "!!null" {
			return nil, nil
		}
		return n.Value, nil
	}
	return nil, wrong(n, "it cannot be read")
}

func wrong(n *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("line %d: %s", n.Line, fmt.Sprintf(format, args...))
}

// group converts a mapping node. The group's own keys override keys merged with <<.
func (p *parser) group(n *yaml.Node, depth int, at string) (any, error) {
	out := map[string]any{}
	var merged []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode {
			return nil, wrong(key, "a key has to be a word")
		}
		if key.ShortTag() == "!!merge" {
			merged = append(merged, value)
			continue
		}
		if _, twice := out[key.Value]; twice {
			return nil, wrong(key, "%s stands there twice", strconv.Quote(key.Value))
		}
		inner := noKey
		if key.Value != "" {
			inner = joinKey(at, key.Value)
		}
		p.setLine(inner, key)
		v, err := p.value(value, depth+1, inner)
		if err != nil {
			return nil, err
		}
		out[key.Value] = v
	}
	for _, m := range merged {
		if err := p.merge(out, m, depth, at); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (p *parser) merge(into map[string]any, n *yaml.Node, depth int, at string) error {
	v, err := p.value(n, depth+1, at)
	if err != nil {
		return err
	}
	groups, isList := v.([]any)
	if !isList {
		groups = []any{v}
	}
	for _, g := range groups {
		group, ok := g.(map[string]any)
		if !ok {
			return wrong(n, "only groups of keys can be merged with <<")
		}
		for k, v := range group {
			if _, own := into[k]; !own {
				into[k] = v
			}
		}
	}
	return nil
}
