package console

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// A heat is a small picture of the response times: a column a tick, a row a range of times, and a shade for the share of the tick's
// requests. B. Gregg, Visualizing System Latency, ACM Queue 8(5), 2010, shows what percentiles hide in it.
type heat struct {
	columns []column
}

// A column counts one tick's requests by time, eight buckets a decade from 10 µs to 100 s.
type column struct {
	counts [heatBuckets]int64
	sum    int64
}

const (
	perDecade   = 8
	heatBuckets = 7 * perDecade
	heatRows    = 4
	mostColumns = 400
	heatLeast   = 10 * time.Microsecond
)

// A tone is drawn for a share of a tick's requests above a bound.
type tone struct {
	above float64
	shade rune
}

var tones = []tone{{0.5, '█'}, {0.1, '▓'}, {0.01, '▒'}, {0, '░'}}

func (m *heat) add(h *hdrhistogram.Histogram) {
	var c column
	if h.TotalCount() > 0 { // Distribution lists what an empty histogram does not have
		for _, b := range h.Distribution() {
			c.counts[bucket(b.To)] += b.Count
			c.sum += b.Count
		}
	}
	if c.sum == 0 && len(m.columns) == 0 {
		return // the picture begins with the first answer
	}
	m.columns = append(m.columns, c)
	m.columns = m.columns[max(0, len(m.columns)-mostColumns):]
}

// bucket is that of a time in nanoseconds.
func bucket(ns int64) int {
	b := int(math.Floor(math.Log10(float64(ns)/float64(heatLeast)) * perDecade))
	return min(max(b, 0), heatBuckets-1)
}

// edge is the upper end of a bucket.
func edge(b int) time.Duration {
	return time.Duration(float64(heatLeast) * math.Pow(10, float64(b+1)/perDecade))
}

// rows draws the last columns, the longest times on top. The rows share what was seen between them.
func (m *heat) rows(width int) []string {
	const label = 12
	columns := m.columns[max(0, len(m.columns)-max(1, width-label)):]
	lo, hi := heatBuckets, -1
	for _, c := range columns {
		for b, n := range c.counts {
			if n > 0 {
				lo, hi = min(lo, b), max(hi, b)
			}
		}
	}
	if hi < 0 {
		return nil
	}
	each := (hi-lo)/heatRows + 1
	var lines []string
	for r := heatRows - 1; r >= 0; r-- {
		from := lo + r*each
		to := min(from+each, heatBuckets)
		if from >= heatBuckets {
			continue
		}
		var b strings.Builder
		for _, c := range columns {
			b.WriteRune(shade(c, from, to))
		}
		lines = append(lines, dim+"  ≤"+ms(edge(to-1))+reset+" "+b.String())
	}
	return lines
}

func shade(c column, from, to int) rune {
	n := int64(0)
	for _, k := range c.counts[from:to] {
		n += k
	}
	i := slices.IndexFunc(tones, func(t tone) bool { return float64(n) > t.above*float64(c.sum) })
	if i < 0 {
		return ' '
	}
	return tones[i].shade
}
