package record

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Series are stored as OpenMetrics text (https://prometheus.io/docs/specs/om/open_metrics_spec/), gzipped, so that
// `promtool tsdb create-blocks-from openmetrics` reads them too. Timestamps are absolute, in seconds with nine decimals:
// written and parsed as integers of nanoseconds, they come back exactly.

// A family is the series that stand under one # TYPE line.
type family struct {
	name, kind string
	was        string // the type, where OpenMetrics has no family of that type and name; it goes into # HELP
	series     []Series
}

// suffixes are what sample names of a type end in, beyond the name of their family.
var suffixes = map[string][]string{
	"counter":   {"_total", "_created"},
	"histogram": {"_bucket", "_sum", "_count", "_created"},
	"gauge":     {""},
}

// familyOf is the family that a series belongs to.
func familyOf(s Series) family {
	for _, suffix := range suffixes[s.Type] {
		if name, ok := strings.CutSuffix(s.Name, suffix); ok && name != "" {
			return family{name: name, kind: s.Type}
		}
	}
	return lone(s)
}

// lone is a family of type unknown for a series that OpenMetrics has no better one for: a counter that is not called
// _total, a type that it does not know, a family's name that is taken.
func lone(s Series) family {
	f := family{name: s.Name, kind: "unknown"}
	if s.Type != "untyped" {
		f.was = s.Type
	}
	return f
}

// families groups series, in order of name and labels. Series of one name have one type: the first's.
func families(series []Series) []*family {
	taken := map[string]bool{}
	for _, s := range series {
		taken[s.Name] = true
	}
	byName := map[string]*family{}
	for _, s := range series {
		f := familyOf(s)
		have, ok := byName[f.name]
		if f.name != s.Name && (taken[f.name] || ok && have.kind != f.kind) {
			f = lone(s)
			have, ok = byName[f.name]
		}
		if !ok {
			have = &f
			byName[f.name] = have
		}
		have.series = append(have.series, s)
	}
	sorted := slices.SortedFunc(maps.Values(byName), func(a, b *family) int { return cmp.Compare(a.name, b.name) })
	for _, f := range sorted {
		slices.SortStableFunc(f.series, func(a, b Series) int {
			return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.labels(), b.labels()))
		})
	}
	return sorted
}

func writeSeries(w io.Writer, zero time.Time, series []Series) error {
	zw := gzip.NewWriter(w)
	bw := bufio.NewWriterSize(zw, 1<<16)
	for _, f := range families(series) {
		// Errors of a bufio.Writer stick: Flush returns them.
		_, _ = fmt.Fprintf(bw, "# TYPE %s %s\n", f.name, f.kind)
		if f.was != "" {
			_, _ = fmt.Fprintf(bw, "# HELP %s type: %s\n", f.name, escape(f.was))
		}
		for _, s := range f.series {
			writePoints(bw, zero, s)
		}
	}
	_, _ = bw.WriteString("# EOF\n")
	return errors.Join(bw.Flush(), zw.Close())
}

func writePoints(bw *bufio.Writer, zero time.Time, s Series) {
	points := slices.Clone(s.Points)
	slices.SortStableFunc(points, func(a, b Point) int { return cmp.Compare(a.At, b.At) })
	start := s.Name
	if labels := s.labels(); labels != "" {
		start += "{" + labels + "}"
	}
	var line []byte
	for _, p := range points {
		at := zero.Add(p.At)
		line = append(append(line[:0], start...), ' ')
		line = append(strconv.AppendFloat(line, p.V, 'g', -1, 64), ' ')
		line = strconv.AppendInt(line, at.Unix(), 10)
		line = fmt.Appendf(line, ".%09d\n", at.Nanosecond())
		_, _ = bw.Write(line)
	}
}

// labels are the labels as the text format writes them, sorted by name.
func (s Series) labels() string {
	var b strings.Builder
	for i, name := range slices.Sorted(maps.Keys(s.Labels)) {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(name + `="` + escape(s.Labels[name]) + `"`)
	}
	return b.String()
}

var (
	escaper   = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
	unescaper = strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\n`, "\n")
)

func escape(s string) string { return escaper.Replace(s) }

// validate says why the series cannot be written as OpenMetrics.
func (s Series) validate() error {
	if !isName(s.Name, true) {
		return fmt.Errorf("series: %q is not a metric name", s.Name)
	}
	for name, value := range s.Labels {
		if !isName(name, false) {
			return fmt.Errorf("series %s: %q is not a label name", s.Name, name)
		}
		if !utf8.ValidString(value) {
			return fmt.Errorf("series %s: the value of label %s is not UTF-8: %q", s.Name, name, value)
		}
	}
	if strings.ContainsAny(s.Type, "\n") || !utf8.ValidString(s.Type) {
		return fmt.Errorf("series %s: %q is not a type", s.Name, s.Type)
	}
	return nil
}

func isName(s string, colon bool) bool {
	for i, r := range s {
		letter := r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || colon && r == ':'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}
