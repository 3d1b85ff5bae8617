package peer

import (
	"bytes"
	"debug/buildinfo"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"shakedown/bench/load/loadbench/queueing"
)

// Vegeta is vegeta: an open loop on net/http, evenly spaced. It measures from when a request was sent.
func Vegeta() Peer {
	return Peer{Name: "vegeta", program: "vegeta", Open: true, version: moduleVersion, command: vegetaCommand, read: vegetaResults}
}

// moduleVersion is that of a program that was built by go install.
func moduleVersion(path string) string {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	return info.Main.Version + ", " + info.GoVersion
}

func vegetaCommand(l Load, dir string) ([]string, string, error) {
	args := []string{
		"attack", "-rate", fmt.Sprintf("%.0f/1s", l.Rate), "-duration", l.Length.String(), "-timeout", l.Timeout.String(),
		"-output", filepath.Join(dir, "results"),
	}
	if l.Connections > 0 {
		n := strconv.Itoa(l.Connections)
		args = append(args, "-connections", n, "-max-connections", n, "-max-workers", n)
	}
	return args, "GET " + l.URL + "\n", nil
}

// vegetaResults has vegeta write its results as CSV, for its reports have no p99.9.
func vegetaResults(_ []byte, dir, path string) (Result, error) {
	out, err := exec.Command(path, "encode", "--to", "csv", filepath.Join(dir, "results")).Output()
	if err != nil {
		return Result{}, fmt.Errorf("encode: %w", err)
	}
	return readVegeta(out)
}

// readVegeta reads lines of when a request began (Unix time in ns), its status, what it took in ns, and more (vegeta encode -h).
func readVegeta(out []byte) (Result, error) {
	lines := csv.NewReader(bytes.NewReader(out))
	lines.ReuseRecord, lines.FieldsPerRecord = true, -1
	var r Result
	var took []float64
	first, last := int64(0), int64(0)
	for {
		f, err := lines.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || len(f) < 3 {
			return Result{}, fmt.Errorf("its results: %w", errors.Join(err, fmt.Errorf("%d fields", len(f))))
		}
		at, errAt := strconv.ParseInt(f[0], 10, 64)
		ns, errNS := strconv.ParseInt(f[2], 10, 64)
		if err := errors.Join(errAt, errNS); err != nil {
			return Result{}, fmt.Errorf("its results: %w", err)
		}
		if first == 0 || at < first {
			first = at
		}
		last = max(last, at)
		if f[1] != "200" {
			r.Failed++
			continue
		}
		r.OK++
		took = append(took, float64(ns)/1e6)
	}
	if r.OK+r.Failed == 0 {
		return Result{}, errors.New("it sent nothing")
	}
	slices.Sort(took)
	at := func(p float64) float64 { return queueing.At(took, p) }
	r.Times, r.Length = Times{at(0.5), at(0.9), at(0.95), at(0.99), at(0.999)}, time.Duration(last-first)
	return r, nil
}
