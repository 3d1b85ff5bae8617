package peer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// whenDone is a script for wrk and wrk2: it runs once, after the load, and costs a request nothing.
const whenDone = `done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('\n{"duration_us":%d,"requests":%d,"failed":%d,', summary.duration, summary.requests,
    e.connect + e.read + e.write + e.status + e.timeout))
  io.write(string.format('"p50":%d,"p90":%d,"p95":%d,"p99":%d,"p99_9":%d}\n', latency:percentile(50), latency:percentile(90),
    latency:percentile(95), latency:percentile(99), latency:percentile(99.9)))
end
`

// Wrk is wrk: a closed loop around epoll, in C. It measures from when a request was sent, and makes up samples for the requests that it thinks
// would have been sent during a long one (stats_correct in its stats.c).
func Wrk() Peer {
	return Peer{Name: "wrk", program: "wrk", Closed: true, version: wrkVersion, command: wrkCommand, read: readWrk}
}

// Wrk2 is its open-loop sister, which measures from when a request was due.
func Wrk2() Peer {
	return Peer{Name: "wrk2", program: "wrk2", Open: true, version: wrkVersion, command: wrkCommand, read: readWrk}
}

func wrkVersion(path string) string {
	v, _, _ := strings.Cut(said("-v")(path), " Copyright")
	return strings.TrimPrefix(v, "wrk ")
}

func wrkCommand(l Load, dir string) ([]string, string, error) {
	script := filepath.Join(dir, "done.lua")
	if err := os.WriteFile(script, []byte(whenDone), 0o600); err != nil {
		return nil, "", err
	}
	args := []string{
		"-t1", fmt.Sprintf("-c%d", atLeast(l.Connections, 64)), fmt.Sprintf("-d%.0fs", l.Length.Seconds()), "--timeout", seconds(l.Timeout), "-s", script,
	}
	if l.Rate > 0 {
		args = append(args, fmt.Sprintf("-R%.0f", l.Rate))
	}
	return append(args, l.URL), "", nil
}

func readWrk(out []byte, _, _ string) (Result, error) {
	at := bytes.LastIndex(out, []byte("\n{"))
	if at < 0 {
		return Result{}, errors.New("its output has no summary")
	}
	var s struct {
		DurationUS int64   `json:"duration_us"`
		Requests   int64   `json:"requests"`
		Failed     int64   `json:"failed"`
		P50        float64 `json:"p50"`
		P90        float64 `json:"p90"`
		P95        float64 `json:"p95"`
		P99        float64 `json:"p99"`
		P999       float64 `json:"p99_9"`
	}
	if err := json.Unmarshal(out[at:], &s); err != nil {
		return Result{}, fmt.Errorf("its summary: %w", err)
	}
	const perMS = 1e3
	return Result{
		OK: s.Requests - s.Failed, Failed: s.Failed, Length: time.Duration(s.DurationUS) * time.Microsecond,
		Times: Times{s.P50 / perMS, s.P90 / perMS, s.P95 / perMS, s.P99 / perMS, s.P999 / perMS},
	}, nil
}

// atLeast is n, or the default when n is 0.
func atLeast(n, otherwise int) int {
	if n == 0 {
		return otherwise
	}
	return n
}

// seconds is a time in whole seconds, rounded up, as command lines take it.
func seconds(d time.Duration) string {
	return fmt.Sprintf("%ds", int64((d+time.Second-1)/time.Second))
}
