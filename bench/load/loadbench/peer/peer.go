package peer

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// A Load is what a peer is to send: requests to a URL for a time.
type Load struct {
	URL         string
	Length      time.Duration
	Connections int     // of a closed loop, the users; of an open one the most, 0 as many as it takes
	Rate        float64 // arrivals a second; 0: closed loop
	Poisson     bool    // of the arrivals; else they are evenly spaced
	Timeout     time.Duration
}

// Times are percentiles in milliseconds; NaN is one that the peer does not say.
type Times struct{ P50, P90, P95, P99, P999 float64 }

// untold are times of which nothing is known.
func untold() Times {
	nan := math.NaN()
	return Times{nan, nan, nan, nan, nan}
}

// A Result is what became of a load.
type Result struct {
	OK     int64         // requests that were answered as they should be
	Failed int64         // those that were not, of whatever kind
	Length time.Duration // that the peer says it took
	Times  Times         // as the peer measures what users waited
	// What only some say.
	Own *Own
	// What the operating system says of the peer's process, its whole life long.
	CPU      time.Duration // user and system
	MaxRSSMB float64
	Wall     time.Duration
}

// CPUPerRequest is what a request cost the peer.
func (r Result) CPUPerRequest() time.Duration {
	if r.OK == 0 {
		return 0
	}
	return r.CPU / time.Duration(r.OK)
}

// Rate is how many requests a second were answered.
func (r Result) Rate() float64 {
	if r.Length <= 0 {
		return 0
	}
	return float64(r.OK) / r.Length.Seconds()
}

// A Peer is a load generator.
type Peer struct {
	Name    string
	program string
	// Open and Closed say which loops it has.
	Open, Closed bool
	version      func(path string) string
	// command is how it is called; dir is an empty directory of the call's own.
	command func(l Load, dir string) (args []string, input string, err error)
	// read makes sense of what it wrote to its standard output and into dir.
	read func(out []byte, dir, path string) (Result, error)
	// bearable says whether an exit code other than 0 leaves a result.
	bearable func(code int) bool
}

// Find is the peer's program, and its version: in one of the directories, or on PATH. An error is a peer that is not installed.
func (p Peer) Find(dirs ...string) (path, version string, err error) {
	for _, d := range dirs {
		path, err := filepath.Abs(filepath.Join(d, p.program))
		if err != nil {
			return "", "", err
		}
		if info, err := os.Stat(path); err == nil && info.Mode()&0o111 != 0 {
			return path, p.version(path), nil
		}
	}
	if path, err = exec.LookPath(p.program); err != nil {
		return "", "", fmt.Errorf("%s is not installed", p.Name)
	}
	return path, p.version(path), nil
}

// All are the peers that shakedown is compared with.
func All() []Peer { return []Peer{Wrk(), Wrk2(), Hey(), Oha(), Vegeta(), K6()} }
