package mix

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Read reads a mix from a YAML file: a list of operations under "requests".
func Read(path string) (*Mix, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	m, err := Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// Parse reads what Read reads.
func Parse(raw []byte) (*Mix, error) {
	var tree any
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	if err := dec.Decode(&tree); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errors.New("is empty")
		}
		return nil, errors.New(strings.ReplaceAll(err.Error(), "\n", " "))
	}
	if err := dec.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, errors.New("holds more than one document")
	}
	asJSON, err := json.Marshal(tree)
	if err != nil {
		return nil, fmt.Errorf("is not a list of requests: %w", err)
	}
	var file struct {
		Requests []Op `json:"requests"`
	}
	strict := json.NewDecoder(bytes.NewReader(asJSON))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&file); err != nil {
		return nil, fmt.Errorf("must be a mapping with requests, a list: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	return New(file.Requests)
}
