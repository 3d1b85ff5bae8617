package peer

import (
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Hey is hey: a closed loop on net/http. A rate is what its workers together do not exceed, each waiting for its answers all the same. It
// measures from when a request was sent.
func Hey() Peer {
	return Peer{Name: "hey", program: "hey", Closed: true, version: heyVersion, command: heyCommand, read: readHey}
}

// heyVersion asks the package manager: hey itself does not know.
func heyVersion(string) string {
	out, err := exec.Command("dpkg-query", "-W", "-f", "${Version}", "hey").Output()
	if err != nil {
		return "unknown"
	}
	return "debian/" + string(out)
}

func heyCommand(l Load, _ string) ([]string, string, error) {
	workers := atLeast(l.Connections, 64)
	args := []string{"-z", seconds(l.Length), "-c", strconv.Itoa(workers), "-t", strings.TrimSuffix(seconds(l.Timeout), "s")}
	if l.Rate > 0 {
		args = append(args, "-q", fmt.Sprintf("%g", l.Rate/float64(workers)))
	}
	return append(args, l.URL), "", nil
}

var (
	heyTotal      = regexp.MustCompile(`(?m)^\s*Total:\s+([0-9.]+) secs`)
	heyPercentile = regexp.MustCompile(`(?m)^\s*([0-9.]+)%+ in ([0-9.]+) secs`)
	heyStatus     = regexp.MustCompile(`(?m)^\s*\[(\d+)\]\s+(\d+) responses`)
	heyError      = regexp.MustCompile(`(?m)^\s*\[(\d+)\]\s+\S.*$`)
)

func readHey(out []byte, _, _ string) (Result, error) {
	text := string(out)
	total := heyTotal.FindStringSubmatch(text)
	if total == nil {
		return Result{}, fmt.Errorf("its output has no total: %q", text[:min(len(text), 200)])
	}
	s, err := strconv.ParseFloat(total[1], 64)
	if err != nil {
		return Result{}, err
	}
	r := Result{Length: time.Duration(s*1e4+0.5) * (time.Second / 1e4), Times: untold()}
	_, body, _ := strings.Cut(text, "Status code distribution:")
	statuses, failures, _ := strings.Cut(body, "Error distribution:")
	for _, m := range heyStatus.FindAllStringSubmatch(statuses, -1) {
		n, _ := strconv.ParseInt(m[2], 10, 64) // digits
		if m[1] == "200" {
			r.OK += n
		} else {
			r.Failed += n
		}
	}
	for _, m := range heyError.FindAllStringSubmatch(failures, -1) {
		n, _ := strconv.ParseInt(m[1], 10, 64)
		r.Failed += n
	}
	places := map[string]*float64{"50": &r.Times.P50, "90": &r.Times.P90, "95": &r.Times.P95, "99": &r.Times.P99}
	for _, m := range heyPercentile.FindAllStringSubmatch(text, -1) {
		if to := places[m[1]]; to != nil {
			v, err := strconv.ParseFloat(m[2], 64)
			if err != nil {
				return Result{}, err
			}
			*to = v * 1e3
		}
	}
	return r, nil
}
