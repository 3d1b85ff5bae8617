package serve

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"

	"shakedown/bench"
)

// validator is what a configuration struct may implement on its pointer or value.
type validator interface{ Validate() error }

// Decode reads a variant's configuration into T. A field that T does not have is an error that lists those it has;
// then T's (or *T's) Validate, where there is one, has the last word. No configuration at all is the zero T.
func Decode[T any](raw json.RawMessage) (T, error) {
	var v T
	if err := decodeInto(&v, raw); err != nil {
		var zero T
		return zero, err
	}
	return v, nil
}

// CheckConfig says what is wrong with a configuration of the role, in the words of Decode; it builds nothing.
func CheckConfig(role bench.Role, raw json.RawMessage) error {
	config := role.Config
	if config == nil {
		config = struct{}{}
	}
	return decodeInto(reflect.New(reflect.Indirect(reflect.ValueOf(config)).Type()).Interface(), raw)
}

func decodeInto(into any, raw json.RawMessage) error {
	if len(bytes.TrimSpace(raw)) == 0 {
		raw = json.RawMessage("{}")
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return fmt.Errorf("configuration: %s; %s", strings.TrimPrefix(err.Error(), "json: "), fieldsOf(into))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("configuration: there is more after the first JSON value")
	}
	if v, ok := into.(validator); ok {
		if err := v.Validate(); err != nil {
			return fmt.Errorf("configuration: %w", err)
		}
	}
	return nil
}

// fieldsOf says which fields the struct behind the pointer has, by their JSON names.
func fieldsOf(into any) string {
	t := reflect.TypeOf(into).Elem()
	if t.Kind() != reflect.Struct {
		return "want " + t.String()
	}
	names := jsonNames(t)
	if len(names) == 0 {
		return "there are no fields to set"
	}
	return "the fields are " + strings.Join(names, ", ")
}

func jsonNames(t reflect.Type) []string {
	var names []string
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-":
		case f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct:
			names = append(names, jsonNames(f.Type)...)
		case !f.IsExported():
		case name == "":
			names = append(names, f.Name)
		default:
			names = append(names, name)
		}
	}
	return names
}

// Fields are the names of the fields that a role's configuration may set.
func Fields(role bench.Role) []string {
	if role.Config == nil {
		return nil
	}
	return jsonNames(reflect.Indirect(reflect.ValueOf(role.Config)).Type())
}
