package chaosctl

import (
	"cmp"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"shakedown/chaos"
)

// LinkKinds are the kinds of faults that act on links, in the order of the registry: those with a field "link".
func LinkKinds() []string {
	var kinds []string
	for _, kind := range chaos.Kinds() {
		f, _ := chaos.New(kind)
		for _, field := range fields(f) {
			if field.key == "link" {
				kinds = append(kinds, kind)
			}
		}
	}
	return kinds
}

// A field of a fault is a flag.
type field struct {
	key string // its name in JSON, bytes_per_second
	typ reflect.Type
}

// flag is the name of the flag, bytes-per-second.
func (f field) flag() string { return strings.ReplaceAll(f.key, "_", "-") }

// fields are those of a fault that JSON has, in order.
func fields(f chaos.Fault) []field {
	var all []field
	for _, sf := range reflect.VisibleFields(reflect.TypeOf(f).Elem()) {
		key, _, _ := strings.Cut(sf.Tag.Get("json"), ",")
		if sf.Anonymous || !sf.IsExported() || key == "" || key == "-" {
			continue
		}
		all = append(all, field{key, sf.Type})
	}
	return all
}

// A FaultFlags are the flags of one kind of fault, one for each of its fields.
type FaultFlags struct {
	kind   string
	fields []field
	values map[string]*string
	set    *pflag.FlagSet
}

// About is what a kind of fault does.
func About(kind string) string {
	f, _ := chaos.New(kind)
	about, _ := chaos.Help(f)
	return about
}

// AddFaultFlags gives a flag set the flags of a kind. What they mean Explain says.
func AddFaultFlags(set *pflag.FlagSet, kind string) *FaultFlags {
	f, _ := chaos.New(kind)
	flags := &FaultFlags{kind: kind, fields: fields(f), values: map[string]*string{}, set: set}
	for _, field := range flags.fields {
		flags.values[field.key] = set.String(field.flag(), "", takes(field.typ))
		if field.typ.Kind() == reflect.Bool {
			set.Lookup(field.flag()).NoOptDefVal = "true"
		}
	}
	return flags
}

// Explain gives the flags of a kind their usage. It takes as long as everything else that a command begins with, and so is for when
// somebody asks.
func Explain(set *pflag.FlagSet, kind string) {
	f, _ := chaos.New(kind)
	_, help := chaos.Help(f)
	for _, field := range fields(f) {
		if text := cmp.Or(help[field.key], common[field.key]); text != "" {
			set.Lookup(field.flag()).Usage = strings.TrimSuffix(text, ".") + " (" + takes(field.typ) + ")"
		}
	}
}

// common is what fields mean that most faults have; few say it again.
var common = map[string]string{
	"link":      "the link's name",
	"direction": "upstream, downstream, or both when left out",
	"share":     "part of the connections that it acts on; all when left out",
	"seed":      "what random decisions are drawn from",
}

// takes is what a flag of a type takes.
func takes(typ reflect.Type) string {
	list := ""
	if typ.Kind() == reflect.Slice {
		list, typ = ", several with commas between", typ.Elem()
	}
	if isText(typ) && typ.Name() == "Duration" {
		return "`duration` such as 20ms" + list
	}
	switch typ.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "whole `number`" + list
	case reflect.Float32, reflect.Float64:
		return "`number`" + list
	case reflect.String:
		return "`text`" + list
	}
	return "`json`"
}

// isText says whether values of the type are written as text in JSON, whatever they are made of.
func isText(typ reflect.Type) bool {
	return reflect.PointerTo(typ).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// JSON is the fault that the flags describe.
func (f *FaultFlags) JSON() (string, error) {
	parts := []string{fmt.Sprintf(`"kind":%q`, f.kind)}
	for _, field := range f.fields {
		if !f.set.Changed(field.flag()) {
			continue
		}
		value, err := encode(field.typ, *f.values[field.key])
		if err != nil {
			return "", fmt.Errorf("--%s: %w", field.flag(), err)
		}
		parts = append(parts, fmt.Sprintf("%q:%s", field.key, value))
	}
	return "{" + strings.Join(parts, ",") + "}", nil
}

// encode is what was typed as JSON for a type. Whether the value makes sense the fault says.
func encode(typ reflect.Type, typed string) (string, error) {
	if isText(typ) || typ.Kind() == reflect.String {
		text, err := json.Marshal(typed)
		return string(text), err
	}
	if typ.Kind() == reflect.Slice {
		var parts []string
		for part := range strings.SplitSeq(typed, ",") {
			value, err := encode(typ.Elem(), strings.TrimSpace(part))
			if err != nil {
				return "", err
			}
			parts = append(parts, value)
		}
		return "[" + strings.Join(parts, ",") + "]", nil
	}
	var err error
	switch typ.Kind() {
	case reflect.Bool:
		if typed != "true" && typed != "false" {
			err = because(strconv.ErrSyntax, typed, "true or false")
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		_, err = strconv.ParseInt(typed, 10, typ.Bits())
		err = because(err, typed, "a whole number")
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		_, err = strconv.ParseUint(typed, 10, typ.Bits())
		err = because(err, typed, "a whole number from 0")
	case reflect.Float32, reflect.Float64:
		_, err = strconv.ParseFloat(typed, typ.Bits())
		err = because(err, typed, "a number")
	}
	if err == nil && !json.Valid([]byte(typed)) { // such as 0x10, +1, Inf
		err = because(errors.ErrUnsupported, typed, "written as JSON has it")
	}
	return typed, err
}

func because(err error, typed, want string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%q is not %s", typed, want)
}
