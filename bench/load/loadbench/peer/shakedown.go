package peer

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Own is what only shakedown says.
type Own struct {
	Ledger  Ledger
	Lag     Times
	MaxMB   float64  // of memory, by its own account
	Reasons []string // why the run may not be believed; none: it may
}

// Ledger is where each arrival ended.
type Ledger struct {
	Scheduled int64 `json:"scheduled"`
	OK        int64 `json:"ok"`
	Degraded  int64 `json:"degraded"`
	Refused   int64 `json:"refused"`
	Failed    int64 `json:"failed"`
	Unsure    int64 `json:"unsure"`
	Unsent    int64 `json:"unsent"`
}

// Balances says whether each scheduled arrival ended once.
func (l Ledger) Balances() bool {
	return l.Scheduled == l.OK+l.Degraded+l.Refused+l.Failed+l.Unsure+l.Unsent
}

// Shakedown is `shakedown load` with a back end, and with flags of its own. It measures from when a request was due. A run that shakedown itself does not believe is
// a result here: how it fared is what is asked.
func Shakedown(backend string, flags ...string) Peer {
	name := strings.Join(append([]string{"shakedown"}, flags...), " ")
	if backend != "auto" {
		name += " by " + backend
	}
	return Peer{
		Name: name, program: "shakedown", Open: true, Closed: true, version: said("version"), read: readShakedown,
		command: func(l Load, _ string) ([]string, string, error) {
			return append(shakedownArgs(l, backend), flags...), "", nil
		},
		bearable: func(code int) bool { return code == 4 }, // void
	}
}

// seed makes all runs of a load meet the same arrivals.
const seed = 1

func shakedownArgs(l Load, backend string) []string {
	args := []string{
		"load", l.URL, "--backend", backend, "--duration", l.Length.String(), "--warmup", "0s", "--timeout", l.Timeout.String(),
		"--calibrate=false", "--seed", strconv.Itoa(seed), "-o", "json",
	}
	if l.Rate == 0 {
		return append(args, "--users", strconv.Itoa(l.Connections))
	}
	arrival := "constant"
	if l.Poisson {
		arrival = "poisson"
	}
	args = append(args, "--rate", strconv.FormatFloat(l.Rate, 'g', -1, 64), "--arrival", arrival)
	if l.Connections > 0 {
		args = append(args, "--connections", strconv.Itoa(l.Connections))
	}
	return args
}

// spread is one distribution of the contract of -o json; null when nothing was measured.
type spread struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P95  float64 `json:"p95"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99_9"`
}

func (s *spread) times() Times {
	if s == nil {
		return untold()
	}
	return Times{s.P50, s.P90, s.P95, s.P99, s.P999}
}

func readShakedown(out []byte, _, _ string) (Result, error) {
	var s struct {
		AchievedPerS float64  `json:"achieved_per_s"`
		Ledger       Ledger   `json:"ledger"`
		Response     *spread  `json:"response_ms"`
		Lag          *spread  `json:"send_lag_ms"`
		MaxRSSMB     float64  `json:"max_rss_mb"`
		Valid        *bool    `json:"valid"`
		VoidReasons  []string `json:"void_reasons"`
	}
	if err := json.Unmarshal(out, &s); err != nil {
		return Result{}, fmt.Errorf("its result: %w", err)
	}
	if s.Valid == nil || *s.Valid != (len(s.VoidReasons) == 0) {
		return Result{}, fmt.Errorf("its result does not say whether it is valid: %.200s", out)
	}
	r := Result{
		OK: s.Ledger.OK, Failed: s.Ledger.Scheduled - s.Ledger.OK, Times: s.Response.times(),
		Own: &Own{Ledger: s.Ledger, Lag: s.Lag.times(), MaxMB: s.MaxRSSMB, Reasons: s.VoidReasons},
	}
	if s.AchievedPerS > 0 {
		r.Length = time.Duration(math.Round(float64(r.OK) / s.AchievedPerS * float64(time.Second)))
	}
	return r, nil
}
