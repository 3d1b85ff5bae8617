package load

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime/metrics"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// usage is what the process and the machine have spent up to a moment.
type usage struct {
	at            time.Duration
	cpuS          float64
	stealS, idleS float64
	pauses        *metrics.Float64Histogram
}

// userHZ is the unit of /proc/stat: 1/100 s on every architecture that Go runs on (proc(5), sysconf(_SC_CLK_TCK)).
const userHZ = 100

const gcPauses = "/sched/pauses/total/gc:seconds"

func readUsage() (*usage, error) {
	u := &usage{}
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		return u, fmt.Errorf("getrusage: %w", err)
	}
	u.cpuS = float64(r.Utime.Nano()+r.Stime.Nano()) / 1e9
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return u, err
	}
	if u.idleS, u.stealS, err = parseStat(stat); err != nil {
		return u, err
	}
	m := []metrics.Sample{{Name: gcPauses}}
	metrics.Read(m)
	if m[0].Value.Kind() == metrics.KindFloat64Histogram {
		h := m[0].Value.Float64Histogram()
		u.pauses = &metrics.Float64Histogram{Counts: slices.Clone(h.Counts), Buckets: h.Buckets}
	}
	return u, nil
}

// parseStat reads the first line of /proc/stat: "cpu user nice system idle iowait irq softirq steal …" (proc_stat(5)).
// A core that waits for a disk is idle: it could have sent.
func parseStat(b []byte) (idleS, stealS float64, err error) {
	line, _, _ := bytes.Cut(b, []byte{'\n'})
	fields := bytes.Fields(line)
	if len(fields) < 9 || string(fields[0]) != "cpu" {
		return 0, 0, fmt.Errorf("/proc/stat: unexpected first line %q", line)
	}
	var ticks [9]float64
	for i := 1; i < len(ticks); i++ {
		if ticks[i], err = strconv.ParseFloat(string(fields[i]), 64); err != nil {
			return 0, 0, fmt.Errorf("/proc/stat: %w", err)
		}
	}
	return (ticks[4] + ticks[5]) / userHZ, ticks[8] / userHZ, nil
}

// longestPause is the upper edge of the highest bucket that grew from a to b, in seconds; 0 when none did.
func longestPause(a, b *metrics.Float64Histogram) float64 {
	if a == nil || b == nil {
		return 0
	}
	for i := len(b.Counts) - 1; i >= 0; i-- {
		if b.Counts[i] == a.Counts[i] {
			continue
		}
		if edge := b.Buckets[i+1]; !math.IsInf(edge, 1) {
			return edge
		}
		return b.Buckets[i]
	}
	return 0
}

// A resident reads the resident set of this process. It keeps the file open: opening it costs more than reading it.
type resident struct {
	statm *os.File
	buf   [256]byte
}

// MB is the second field of /proc/self/statm, which is in pages (proc_pid_statm(5)).
func (r *resident) MB() (float64, error) {
	if r.statm == nil {
		f, err := os.Open("/proc/self/statm")
		if err != nil {
			return 0, err
		}
		r.statm = f
	}
	n, err := r.statm.ReadAt(r.buf[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	fields := bytes.Fields(r.buf[:n])
	if len(fields) < 2 {
		return 0, fmt.Errorf("/proc/self/statm: unexpected content %q", r.buf[:n])
	}
	pages, err := strconv.ParseFloat(string(fields[1]), 64)
	if err != nil {
		return 0, fmt.Errorf("/proc/self/statm: %w", err)
	}
	return pages * float64(os.Getpagesize()) / 1e6, nil
}

// close closes the file.
func (r *resident) close() error {
	if r.statm == nil {
		return nil
	}
	return r.statm.Close()
}
