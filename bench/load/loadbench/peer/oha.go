package peer

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Oha is oha, on hyper, in Rust. In open loop it measures from when a request was due, as --latency-correction asks.
func Oha() Peer {
	return Peer{
		Name: "oha", program: "oha", Open: true, Closed: true, command: ohaCommand, read: readOha,
		version: func(path string) string { return strings.TrimPrefix(said("--version")(path), "oha ") },
	}
}

func ohaCommand(l Load, _ string) ([]string, string, error) {
	args := []string{
		"--no-tui", "--output-format", "json", "-z", seconds(l.Length), "-c", strconv.Itoa(atLeast(l.Connections, 500)), "-t", seconds(l.Timeout),
	}
	if l.Rate > 0 {
		args = append(args, "-q", fmt.Sprintf("%.0f", l.Rate), "--latency-correction")
	}
	return append(args, l.URL), "", nil
}

// readOha reads what oha's schema.json describes. Requests that the end of the load cut off are among its errors; they are no fault.
func readOha(out []byte, _, _ string) (Result, error) {
	var s struct {
		Summary struct {
			Total float64 `json:"total"`
		} `json:"summary"`
		Percentiles map[string]float64 `json:"latencyPercentiles"`
		Statuses    map[string]int64   `json:"statusCodeDistribution"`
		Errors      map[string]int64   `json:"errorDistribution"`
	}
	if err := json.Unmarshal(out, &s); err != nil {
		return Result{}, fmt.Errorf("its output: %w", err)
	}
	r := Result{OK: s.Statuses["200"], Length: time.Duration(s.Summary.Total * float64(time.Second))}
	for status, n := range s.Statuses {
		if status != "200" {
			r.Failed += n
		}
	}
	for why, n := range s.Errors {
		if why != "aborted due to deadline" {
			r.Failed += n
		}
	}
	at := func(name string) float64 {
		if v, ok := s.Percentiles[name]; ok {
			return v * 1e3
		}
		return math.NaN()
	}
	r.Times = Times{at("p50"), at("p90"), at("p95"), at("p99"), at("p99.9")}
	return r, nil
}
