package configs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A file may not have more than this: aliases could make it as large as they please.
const (
	maxFile  = 1 << 20 // bytes
	maxNodes = 100_000
	maxDepth = 32
)

// readFile reads a YAML file into groups (map[string]any), lists ([]any), nil for null and
// text for every scalar: as it was written, so that a key of digits stays what it is.
func readFile(file string) (map[string]any, Faults) {
	b, err := readBounded(file)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, Faults{{Problem: "there is no file " + file, Right: "name one that exists with --config"}}
	case err != nil:
		return nil, Faults{{Problem: "the file cannot be read: " + err.Error(), Right: "name one that can be read with --config"}}
	}
	tree, err := parseYAML(b)
	if err != nil {
		return nil, Faults{{Problem: file + ": " + strings.TrimPrefix(err.Error(), "yaml: "), Right: "it has to be YAML, groups of keys as in configs/holdfast.yaml"}}
	}
	return tree, nil
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

// parseYAML reads one document whose top is a group of keys, or nothing.
func parseYAML(b []byte) (map[string]any, error) {
	d := yaml.NewDecoder(bytes.NewReader(b))
	var doc yaml.Node
	if err := d.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more than one document, or something behind the first")
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		return nil, errors.New("it holds nothing that can be read")
	}
	p := &parser{left: maxNodes}
	top, err := p.value(doc.Content[0], 0)
	if err != nil {
		return nil, err
	}
	switch top := top.(type) {
	case nil:
		return nil, nil
	case map[string]any:
		return top, nil
	}
	return nil, errors.New("it does not begin with a group of keys")
}

// parser turns nodes into values.
type parser struct{ left int } // nodes that may still come

func (p *parser) value(n *yaml.Node, depth int) (any, error) {
	if p.left--; p.left < 0 || depth > maxDepth {
		return nil, errors.New("it is too large or too deep")
	}
	switch n.Kind {
	case yaml.AliasNode:
		return p.value(n.Alias, depth+1)
	case yaml.MappingNode:
		return p.group(n, depth)
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for _, item := range n.Content {
			v, err := p.value(item, depth+1)
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
	return nil, at(n, "it cannot be read")
}

func at(n *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("line %d: %s", n.Line, fmt.Sprintf(format, args...))
}

// group reads keys and values; what is merged in by << gives way to what stands here.
func (p *parser) group(n *yaml.Node, depth int) (any, error) {
	out := map[string]any{}
	var merged []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode {
			return nil, at(key, "a key has to be a word")
		}
		if key.ShortTag() == "!!merge" {
			merged = append(merged, value)
			continue
		}
		if _, twice := out[key.Value]; twice {
			return nil, at(key, "%s stands there twice", strconv.Quote(key.Value))
		}
		v, err := p.value(value, depth+1)
		if err != nil {
			return nil, err
		}
		out[key.Value] = v
	}
	for _, m := range merged {
		if err := p.merge(out, m, depth); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (p *parser) merge(into map[string]any, n *yaml.Node, depth int) error {
	v, err := p.value(n, depth+1)
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
			return at(n, "only groups of keys can be merged with <<")
		}
		for k, v := range group {
			if _, own := into[k]; !own {
				into[k] = v
			}
		}
	}
	return nil
}
