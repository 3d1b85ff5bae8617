package loadrun

import (
	"strings"
	"testing"

	"go.uber.org/goleak"

	"shakedown/bench/load"
)

// defaults are the flags that the command gives when the user does not.
func defaults(urls ...string) Options {
	return Options{
		URLs: urls, Duration: DefaultDuration, Warmup: DefaultWarmup, Timeout: DefaultTimeout, Loops: 1, Gather: load.DefaultGather, Backend: "auto",
		Format: "text",
	}
}

// with makes a flag one that the user gave.
func (o Options) with(flags ...string) Options {
	o.Changed = func(flag string) bool {
		for _, f := range flags {
			if f == flag {
				return true
			}
		}
		return false
	}
	return o
}

func makeJob(t *testing.T, o Options) *job {
	t.Helper()
	j, err := newJob(o, strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func TestEveryKindOfClientIsCalibrated(t *testing.T) {
	for name, o := range map[string]Options{
		"event loops":            defaults("http://127.0.0.1:1/"),
		"net/http":               {Backend: netHTTP, URLs: []string{"http://127.0.0.1:1/"}},
		"TLS":                    defaults("https://127.0.0.1:1/"),
		"HTTP/2 over TLS":        {HTTP2: true, URLs: []string{"https://127.0.0.1:1/"}},
		"HTTP/2 in plaintext":    defaults("h2c://127.0.0.1:1/"),
		"the pacing of Redis":    {Command: "PING", URLs: []string{"redis://127.0.0.1:1"}},
		"the pacing of Postgres": {SQL: "select 1", URLs: []string{"postgres://127.0.0.1:1/x"}},
	} {
		t.Run(name, func(t *testing.T) {
			defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
			d := defaults(o.URLs...)
			d.Backend, d.HTTP2, d.Command, d.SQL = max(o.Backend, "auto"), o.HTTP2, o.Command, o.SQL
			var perS float64
			var err error
			for try := 0; err == nil && perS < 100 && try < 10; try++ { // while others use the machine it may not even connect in time
				perS, err = makeJob(t, d).ceiling(t.Context())
			}
			if err != nil || perS < 100 {
				t.Errorf("a ceiling of %v/s, %v", perS, err)
			}
			t.Logf("%.0f/s", perS)
		})
	}
}
