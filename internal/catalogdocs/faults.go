package catalogdocs

import (
	"bytes"
	"cmp"
	"fmt"
	"reflect"
	"strings"

	"shakedown/chaos"
	"shakedown/internal/units"
)

// faults is the page of every kind of fault: what its comments say of it, and the fields that it is written with.
func faults() []byte {
	var b bytes.Buffer
	b.WriteString(generated + "# Kinds of faults\n\nHow they are scheduled and proved is in [faults](../faults.md).\n\n| kind | what it does |\n|---|---|\n")
	for _, kind := range chaos.Kinds() {
		f, _ := chaos.New(kind)
		about, _ := chaos.Help(f)
		fmt.Fprintf(&b, "| [`%s`](#%s) | %s |\n", kind, kind, cell(sentence(about)))
	}
	for _, kind := range chaos.Kinds() {
		f, _ := chaos.New(kind)
		fault(&b, f)
	}
	return b.Bytes()
}

func fault(b *bytes.Buffer, f chaos.Fault) {
	about, comments := chaos.Help(f)
	fmt.Fprintf(b, "\n## %s\n\n%s\n\nProof: %s\n", f.Kind(), about, strings.TrimPrefix(chaos.Proof(f), "Inject proves itself "))
	if needs := chaos.NeedsOf(f); len(needs) > 0 {
		var words []string
		for _, n := range needs {
			words = append(words, string(n))
		}
		fmt.Fprintf(b, "\nNeeds: %s; `shakedown doctor` says whether they are here.\n", strings.Join(words, ", "))
	}
	b.WriteString("\n| field | holds | meaning |\n|---|---|---|\n")
	for _, sf := range reflect.VisibleFields(reflect.TypeOf(f).Elem()) {
		name, rest, _ := strings.Cut(sf.Tag.Get("json"), ",")
		if sf.Anonymous || name == "" || name == "-" {
			continue
		}
		needed := ""
		if !strings.Contains(rest, "omit") {
			needed = ", needed"
		}
		fmt.Fprintf(b, "| `%s` | %s%s | %s |\n", name, holds(sf.Type), needed, cell(cmp.Or(comments[name], shared[name])))
	}
}

// shared is what fields mean that many faults have, where a fault says nothing of its own.
var shared = map[string]string{
	"link":    "The edge, such as service→redis or service->redis: of every instance of a role, or service-1→redis of one.",
	"process": "An engine, an instance, or a role with all its instances.",
	"seed":    "What is random replays from it.",
}

// holds is what a field holds, as one who writes it would say.
func holds(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[units.Duration]():
		return "duration"
	case t.Kind() == reflect.Pointer:
		return holds(t.Elem())
	case t.Kind() == reflect.Slice:
		return "list of " + holds(t.Elem())
	case t.Kind() == reflect.String:
		return "text"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Float64:
		return "number"
	}
	return "fields"
}

// sentence is the first one of a text.
func sentence(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	first, _, _ := strings.Cut(text, ". ")
	return strings.TrimSuffix(first, ".")
}
