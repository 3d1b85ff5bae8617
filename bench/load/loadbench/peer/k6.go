package peer

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// K6 is k6: users who run JavaScript, on net/http. It measures from when a request was sent.
func K6() Peer {
	return Peer{
		Name: "k6", program: "k6", Open: true, Closed: true, command: k6Command, read: readK6,
		version: func(path string) string { return strings.TrimPrefix(said("version")(path), "k6 ") },
	}
}

const k6Script = `import http from 'k6/http';
export const options = {
  discardResponseBodies: true,
  summaryTrendStats: ['p(50)', 'p(90)', 'p(95)', 'p(99)', 'p(99.9)'],
  scenarios: { load: %s },
};
export default function () { http.get(%q, { timeout: %q }); }
export function handleSummary(data) { return { stdout: JSON.stringify(data) }; }
`

func k6Command(l Load, dir string) ([]string, string, error) {
	scenario := map[string]any{"duration": l.Length.String(), "gracefulStop": "30s"}
	if l.Rate > 0 {
		users := atLeast(l.Connections, 500)
		scenario["executor"], scenario["rate"], scenario["timeUnit"] = "constant-arrival-rate", int64(l.Rate+0.5), "1s"
		scenario["preAllocatedVUs"], scenario["maxVUs"] = users, users
	} else {
		scenario["executor"], scenario["vus"] = "constant-vus", l.Connections
	}
	described, err := json.Marshal(scenario)
	if err != nil {
		return nil, "", err
	}
	script := filepath.Join(dir, "script.js")
	text := fmt.Sprintf(k6Script, described, l.URL, seconds(l.Timeout))
	return []string{"run", "--quiet", "--no-color", "--no-usage-report", "--address", "", script}, "", os.WriteFile(script, []byte(text), 0o600)
}

func readK6(out []byte, _, _ string) (Result, error) {
	var s struct {
		State struct {
			MS float64 `json:"testRunDurationMs"`
		} `json:"state"`
		Metrics map[string]struct {
			Values map[string]float64 `json:"values"`
		} `json:"metrics"`
	}
	if err := json.Unmarshal(out, &s); err != nil {
		return Result{}, fmt.Errorf("its summary: %w", err)
	}
	took, ok := s.Metrics["http_req_duration"].Values, s.Metrics["http_req_failed"].Values
	if took == nil || ok == nil {
		return Result{}, fmt.Errorf("its summary has no requests: %.200s", out)
	}
	dropped := s.Metrics["dropped_iterations"].Values["count"]
	return Result{ // the rate's "passes" are requests that did fail
		OK: int64(ok["fails"]), Failed: int64(ok["passes"] + dropped), Length: time.Duration(s.State.MS * float64(time.Millisecond)),
		Times: Times{took["p(50)"], took["p(90)"], took["p(95)"], took["p(99)"], took["p(99.9)"]},
	}, nil
}
