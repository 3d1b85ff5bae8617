package verdict_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/invopop/jsonschema"
	validator "github.com/santhosh-tekuri/jsonschema/v6"

	"shakedown/bench"
	"shakedown/bench/internal/synth"
	"shakedown/bench/record"
	"shakedown/bench/verdict"
	"shakedown/chaos"
	"shakedown/internal/units"
)

var update = flag.Bool("update", false, "write docs/schema/result.schema.json anew")

var schemaFile = filepath.Join("..", "..", "docs", "schema", "result.schema.json")

// names is the enumeration of a type that is written by name: every value, by its String.
func names[T interface {
	~uint8
	String() string
}](n int) *jsonschema.Schema {
	s := &jsonschema.Schema{Type: "string"}
	for i := range n {
		s.Enum = append(s.Enum, T(i).String())
	}
	return s
}

// written are the types whose JSON form is not what their Go type suggests.
func written(t reflect.Type) *jsonschema.Schema {
	switch t {
	case reflect.TypeFor[bench.Verdict]():
		return names[bench.Verdict](3)
	case reflect.TypeFor[bench.Finding]():
		return names[bench.Finding](4)
	case reflect.TypeFor[bench.Rel]():
		return names[bench.Rel](3)
	case reflect.TypeFor[bench.Arrival]():
		return names[bench.Arrival](5)
	case reflect.TypeFor[bench.Against]():
		return &jsonschema.Schema{Type: "string", Enum: []any{string(bench.Ratio), string(bench.Difference)}}
	case reflect.TypeFor[record.Status]():
		return &jsonschema.Schema{Type: "string", Enum: []any{
			string(record.Running), string(record.Complete), string(record.Aborted), string(record.Truncated),
		}}
	case reflect.TypeFor[units.Duration]():
		return &jsonschema.Schema{Type: "string", Description: "a duration with its unit, such as 250ms or 1m30s"}
	case reflect.TypeFor[chaos.Faults]():
		fault := &jsonschema.Schema{Type: "object", Required: []string{"kind"}, Properties: jsonschema.NewProperties()}
		fault.Properties.Set("kind", &jsonschema.Schema{Type: "string"})
		return &jsonschema.Schema{Type: "array", Items: fault}
	}
	return nil
}

// schema is the JSON Schema of a Result.
func schema(t *testing.T) []byte {
	t.Helper()
	r := jsonschema.Reflector{
		Anonymous: true, Mapper: written,
		Namer: func(t reflect.Type) string { // bench.Claim and verdict.Claim are two types
			if pkg := path.Base(t.PkgPath()); pkg != "verdict" && t.Name() != "" {
				return strings.ToUpper(pkg[:1]) + pkg[1:] + t.Name()
			}
			return t.Name()
		},
	}
	s := r.Reflect(verdict.Result{})
	s.Title = "Result of a shakedown run"
	for name, def := range s.Definitions {
		if strings.HasPrefix(name, "Bench") || strings.HasPrefix(name, "Record") {
			nullable(def) // what a run was given may leave a list out; what the judge writes never does
		}
	}
	out, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(out, '\n')
}

// nullable lets the lists of a definition be null, which is how Go writes a list that was never made.
func nullable(def *jsonschema.Schema) {
	for p := def.Properties.Oldest(); p != nil; p = p.Next() {
		if p.Value.Type == "array" {
			p.Value = &jsonschema.Schema{OneOf: []*jsonschema.Schema{p.Value, {Type: "null"}}}
		}
	}
}

func TestTheSchemaIsCurrent(t *testing.T) {
	want := schema(t)
	if *update {
		if err := os.MkdirAll(filepath.Dir(schemaFile), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(schemaFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is stale; run go test ./bench/verdict -update", schemaFile)
	}
}

// validate holds a document against the published schema.
func validate(t *testing.T, doc any) error {
	t.Helper()
	raw, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := validator.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	c := validator.NewCompiler()
	if err := c.AddResource("result.schema.json", parsed); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("result.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return compiled.Validate(doc)
}

// rich is the written form of a result that has every optional part.
func rich(t *testing.T) any {
	t.Helper()
	difference := versusControl(goodput(bench.Equal, 0.5))
	difference.By, difference.Band = bench.Difference, 0.2
	unanswered := goodput(bench.AtMost, 1)
	unanswered.Of.Metric, unanswered.Of.Name, unanswered.Claim = "amplification", "db", "synthetic/pattern#2"
	r := recorded([]bench.Check{
		controlFails(goodput(bench.AtLeast, 0.9)), versusControl(goodput(bench.AtLeast, 2)), difference, unanswered,
	}, []float64{0, 0.1, 0}, []float64{1, 1, 1})
	r.Run.Engines = []record.Engine{{Name: "redis", Version: "7.0", Source: "/usr/bin/redis-server", Settings: map[string]string{"save": ""}}}
	r.Run.Experiment.Variants[1].Config = map[string]any{"ttl": "5s"}
	r.Trials[3].Trial.Findings = []string{"service-0 died"}
	r.Trials[4].Trial.Unhealthy = []string{"redis"}
	raw, err := json.Marshal(judge(t, r))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := validator.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestResultsSatisfyTheirSchema(t *testing.T) {
	if err := validate(t, rich(t)); err != nil {
		t.Error(err)
	}
	empty, err := verdict.Judge(synth.New(bench.Experiment{}, nil, 0).Run, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(empty)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := validator.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	if err := validate(t, doc); err != nil {
		t.Errorf("the result of a run without trials: %v", err)
	}
}

func TestTheSchemaRefusesWhatIsNoResult(t *testing.T) {
	first := func(doc map[string]any) map[string]any {
		return doc["claims"].([]any)[0].(map[string]any)["checks"].([]any)[0].(map[string]any)
	}
	for name, spoil := range map[string]func(map[string]any){
		"an unknown verdict":    func(doc map[string]any) { first(doc)["verdict"] = "maybe" },
		"an effect of no value": func(doc map[string]any) { delete(first(doc)["effect"].(map[string]any), "value") },
		"claims of null":        func(doc map[string]any) { doc["claims"] = nil },
		"a field of no meaning": func(doc map[string]any) { doc["score"] = 1 },
		"a duration as a number": func(doc map[string]any) {
			workload := doc["run"].(map[string]any)["experiment"].(map[string]any)["workload"].(map[string]any)
			workload["slo"] = 100
		},
	} {
		doc := rich(t).(map[string]any)
		spoil(doc)
		if err := validate(t, doc); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
