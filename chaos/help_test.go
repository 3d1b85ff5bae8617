package chaos_test

import (
	"strings"
	"testing"

	"shakedown/chaos"
)

func TestEveryFaultSaysWhatItDoes(t *testing.T) {
	for _, kind := range chaos.Kinds() {
		f, _ := chaos.New(kind)
		about, _ := chaos.Help(f)
		if about == "" {
			t.Errorf("%s: its type has no comment", kind)
		}
		if chaos.Proof(f) == "" {
			t.Errorf("%s: above Inject nothing says how it proves that it has landed", kind)
		}
	}
}

func TestFieldsSayWhatTheyMean(t *testing.T) {
	_, fields := chaos.Help(new(chaos.Latency))
	for key, want := range map[string]string{
		"delay": "Delay is the middle of the uniform law", "shape": "Shape is the tail index", "direction": "Direction is ",
	} {
		if !strings.HasPrefix(fields[key], want) || strings.Contains(fields[key], "\n") {
			t.Errorf("%s: %q", key, fields[key])
		}
	}
}
