package serve_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"shakedown/bench"
	"shakedown/internal/units"
	"shakedown/targets/serve"
)

type config struct {
	TTL   units.Duration `json:"ttl"`
	Size  int            `json:"size,omitempty"`
	inner int            //nolint:unused // its name must not become a field that can be set
}

func (c *config) Validate() error {
	if c.Size < 0 {
		return errors.New("size: must not be negative")
	}
	return nil
}

func TestDecodeRefusesWhatTheVariantCannotSet(t *testing.T) {
	for _, tt := range []struct {
		name, raw string
		want      config
		refused   []string // what the error must say
	}{
		{name: "all fields", raw: `{"ttl":"5s","size":3}`, want: config{TTL: 5 * units.Second, Size: 3}},
		{name: "nothing", raw: ``},
		{name: "null", raw: `null`},
		{name: "unknown field", raw: `{"tll":"5s"}`, refused: []string{`"tll"`, "ttl, size"}},
		{name: "unexported field", raw: `{"inner":1}`, refused: []string{`"inner"`}},
		{name: "wrong type", raw: `{"size":"big"}`, refused: []string{"size"}},
		{name: "not a duration", raw: `{"ttl":"5"}`, refused: []string{"duration"}},
		{name: "two values", raw: `{} {}`, refused: []string{"more"}},
		{name: "refused by Validate", raw: `{"size":-1}`, refused: []string{"must not be negative"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := serve.Decode[config](json.RawMessage(tt.raw))
			checked := serve.CheckConfig(bench.Role{Config: config{}}, json.RawMessage(tt.raw))
			if (err == nil) != (checked == nil) {
				t.Errorf("Decode says %v and CheckConfig says %v", err, checked)
			}
			if (err != nil) != (tt.refused != nil) || got != tt.want {
				t.Fatalf("got %+v, %v; want %+v, refused: %t", got, err, tt.want, tt.refused != nil)
			}
			for _, want := range tt.refused {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not mention %q", err, want)
				}
			}
		})
	}
}

func TestARoleWithoutConfigurationHasNothingToSet(t *testing.T) {
	if err := serve.CheckConfig(bench.Role{}, json.RawMessage(`{}`)); err != nil {
		t.Errorf("empty configuration refused: %v", err)
	}
	if err := serve.CheckConfig(bench.Role{}, json.RawMessage(`{"a":1}`)); err == nil {
		t.Error("a field was accepted")
	}
}
