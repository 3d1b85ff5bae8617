// Package specfile reads and writes experiments as YAML. It keeps the order of fields, refuses what it does not know, and
// says where in the file something is wrong; what an experiment means is package bench's business.
package specfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"shakedown/bench"
)

// Marshal writes an experiment as YAML, its fields in the order of their declaration.
func Marshal(e bench.Experiment) ([]byte, error) {
	raw, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	var node yaml.Node // JSON is YAML, and a node keeps its order
	if err := yaml.Unmarshal(raw, &node); err != nil {
		return nil, err
	}
	block(&node)
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(&node); err != nil {
		return nil, err
	}
	return out.Bytes(), enc.Close()
}

// block writes mappings and sequences on lines of their own, and strings without quotes where that is the same. Small mappings
// of plain values stay on one line.
func block(n *yaml.Node) {
	n.Style = 0
	if n.Kind == yaml.MappingNode && small(n) {
		n.Style = yaml.FlowStyle
	}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!str" && slices.Contains(booleans, strings.ToLower(n.Value)) {
		n.Style = yaml.DoubleQuotedStyle
	}
	for _, c := range n.Content {
		block(c)
	}
}

// booleans are words that YAML 1.1 takes for a boolean where they are not quoted; other tools still do.
var booleans = []string{"y", "n", "yes", "no", "on", "off"}

func small(n *yaml.Node) bool {
	length := 0
	for _, c := range n.Content {
		if c.Kind != yaml.ScalarNode {
			return false
		}
		length += len(c.Value) + 2
	}
	return length < 72
}

// Read reads an experiment from a file. The error of a file that is no experiment says where it goes wrong.
func Read(path string) (bench.Experiment, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return bench.Experiment{}, err
	}
	e, err := Unmarshal(raw)
	if err != nil {
		return bench.Experiment{}, fmt.Errorf("%s: %w", path, err)
	}
	return e, nil
}

// Unmarshal reads what Marshal writes.
func Unmarshal(raw []byte) (bench.Experiment, error) {
	var e bench.Experiment
	var tree any
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	if err := dec.Decode(&tree); err != nil {
		if errors.Is(err, io.EOF) {
			return e, errors.New("is empty")
		}
		return e, errors.New(strings.ReplaceAll(err.Error(), "\n", " "))
	}
	if err := dec.Decode(new(any)); !errors.Is(err, io.EOF) {
		return e, errors.New("holds more than one document; write one experiment a file")
	}
	if _, ok := tree.(map[string]any); !ok {
		return e, errors.New("is not an experiment: the top level must be a mapping with name, question, variants …")
	}
	asJSON, err := json.Marshal(tree)
	if err != nil {
		return e, fmt.Errorf("is not an experiment: %w", err)
	}
	strict := json.NewDecoder(bytes.NewReader(asJSON))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&e); err != nil {
		return e, errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	return e, nil
}
