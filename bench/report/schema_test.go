package report_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/invopop/jsonschema"
	validator "github.com/santhosh-tekuri/jsonschema/v6"

	"shakedown/bench/report"
	"shakedown/bench/verdict"
)

var schemas = filepath.Join("..", "..", "docs", "schema")

// schema is the JSON Schema of a Document; that of its runs is published beside it by package verdict.
func schema(t *testing.T) []byte {
	t.Helper()
	r := jsonschema.Reflector{Anonymous: true, ExpandedStruct: true, Mapper: func(t reflect.Type) *jsonschema.Schema {
		if t == reflect.TypeFor[verdict.Result]() {
			return &jsonschema.Schema{Ref: "result.schema.json"}
		}
		return nil
	}}
	s := r.Reflect(report.Document{})
	s.Title = "The JSON of shakedown run and shakedown report"
	raw, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(raw, '\n')
}

func TestTheSchemaIsCurrent(t *testing.T) {
	path := filepath.Join(schemas, "report.schema.json")
	got := schema(t)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (write it with go test -update)", err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is stale (go test -update writes it):\n%s", path, got)
	}
}

func TestReportsSatisfyTheirSchema(t *testing.T) {
	s, err := validator.NewCompiler().Compile(filepath.Join(schemas, "report.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"levels", "single", "void", "aborted"} {
		doc, err := validator.UnmarshalJSON(bytes.NewReader(write(t, "json", fixtures()[name], report.Options{})))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(doc); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		runs := doc.(map[string]any)["runs"].([]any)
		delete(runs[0].(map[string]any), "void")
		if s.Validate(doc) == nil {
			t.Errorf("%s: the schema takes a run that does not say whether it is void", name)
		}
	}
}
