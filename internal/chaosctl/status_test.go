package chaosctl

import (
	"strings"
	"testing"
	"time"

	"shakedown/chaos"
	"shakedown/chaos/proxy/api"
	"shakedown/internal/units"
)

func TestStatusSaysWhatIsInForceAndWhatItAchieved(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	const ms = units.Millisecond
	s := status{
		Links: []linkStatus{{
			api.LinkInfo{
				LinkSpec: api.LinkSpec{Name: "redis", Network: "unix", Address: "/run/r.sock"}, Addr: "127.0.0.1:1",
				Effects: map[string]chaos.Effect{
					"latency-0123456789abcdef": {Delay: 20 * ms},
					"toxic/slow":               {Direction: chaos.Upstream, Delay: 5 * ms, Hold: true, Seed: 7},
				},
				Since: map[string]time.Time{"toxic/slow": now.Add(-90 * time.Second)},
			},
			chaos.Counters{Open: 1, Connections: 2, DialFailures: 3, BytesUp: 999, BytesDown: 1_234_567},
		}},
		Faults: []api.FaultInfo{{
			ID: "latency-1", Text: "latency 20ms each way on redis", Since: now.Add(-12 * time.Second), Until: now.Add(18 * time.Second),
			Effects: []api.EffectRef{{Link: "redis", ID: "latency-0123456789abcdef"}},
			Delays:  &api.Delays{Count: 5, Asked: api.Quantiles{P50: 20 * ms, P99: 20 * ms}, Achieved: api.Quantiles{P50: 20 * ms, P99: 21 * ms}},
		}},
	}
	const want = `LINK   LISTENS ON   LEADS TO          OPEN  CONNECTIONS  FAILED  UP     DOWN
redis  127.0.0.1:1  unix:/run/r.sock  1     2            3       999 B  1.23 MB

IN FORCE    WHAT                                             SINCE             ACHIEVED
latency-1   latency 20ms each way on redis                   12s ago, for 30s  5 chunks delayed: p50 20 ms (asked 20 ms), p99 21 ms (20 ms)
toxic/slow  direction upstream, delay 5ms, hold on redis  1m30s ago
`
	var got strings.Builder
	for line := range strings.Lines(s.text(now)) {
		got.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	squeezed := func(text string) string { return strings.Join(strings.Fields(text), " ") }
	if squeezed(got.String()) != squeezed(want) {
		t.Errorf("%s\nwant\n%s", got.String(), want)
	}
	if text := (status{Links: s.Links[:0]}).text(now); !strings.HasPrefix(text, "no link; ") {
		t.Error(text)
	}
}
