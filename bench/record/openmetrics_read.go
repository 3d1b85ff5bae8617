package record

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// readSeries reads what writeSeries writes; it is not a reader of all of OpenMetrics. Errors name the line.
func readSeries(r io.Reader, zero time.Time) ([]Series, error) {
	zr, err := gzip.NewReader(r)
	if err != nil {
		return nil, err
	}
	p := seriesReader{zero: zero.UnixNano()}
	sc := bufio.NewScanner(zr)
	sc.Buffer(nil, 1<<20)
	for n := 1; sc.Scan(); n++ {
		if err := p.line(sc.Text()); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := sc.Err(); err != nil {
		return nil, err
	}
	if !p.ended {
		return nil, errors.New("does not end in # EOF")
	}
	return p.series, nil
}

type seriesReader struct {
	zero   int64 // the trial's zero, in ns of Unix time
	series []Series
	id     string // name and labels of the last series, as written
	kind   string
	ended  bool
}

func (p *seriesReader) line(line string) error {
	switch {
	case p.ended:
		return errors.New("text after # EOF")
	case line == "# EOF":
		p.ended = true
		return nil
	case strings.HasPrefix(line, "# TYPE "):
		fields := strings.Fields(line)
		if len(fields) != 4 {
			return errors.New("# TYPE needs a name and a type")
		}
		p.kind, p.id = fields[3], ""
		if p.kind == "unknown" {
			p.kind = "untyped"
		}
		return nil
	case strings.HasPrefix(line, "# HELP "):
		if _, was, ok := strings.Cut(line, " type: "); ok {
			p.kind = unescaper.Replace(was)
		}
		return nil
	}
	return p.point(line)
}

// point reads `name{labels} value timestamp`. Neither of the last two holds a space; a label's value may.
func (p *seriesReader) point(line string) error {
	rest, stamp, ok := cutLast(line, " ")
	if !ok {
		return errors.New("a point needs a value and a timestamp")
	}
	id, value, ok := cutLast(rest, " ")
	if !ok {
		return errors.New("a point needs a value and a timestamp")
	}
	v, err := strconv.ParseFloat(value, 64)
	if err != nil {
		return err
	}
	ns, err := parseStamp(stamp)
	if err != nil {
		return err
	}
	if id != p.id || len(p.series) == 0 {
		name, labels, err := parseSeries(id)
		if err != nil {
			return err
		}
		p.id = id
		p.series = append(p.series, Series{Name: name, Labels: labels, Type: p.kind})
	}
	s := &p.series[len(p.series)-1]
	s.Points = append(s.Points, Point{At: time.Duration(ns - p.zero), V: v})
	return nil
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

func parseStamp(s string) (ns int64, err error) {
	whole, fraction, _ := strings.Cut(s, ".")
	sec, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return 0, err
	}
	nano, err := strconv.ParseUint(fraction, 10, 32)
	if err != nil || len(fraction) != 9 {
		return 0, fmt.Errorf("timestamp %q needs nine decimals", s)
	}
	return time.Unix(sec, int64(nano)).UnixNano(), nil
}

// parseSeries reads `name` or `name{a="1",b="2"}`.
func parseSeries(id string) (name string, labels map[string]string, err error) {
	name, rest, ok := strings.Cut(id, "{")
	if !isName(name, true) {
		return "", nil, fmt.Errorf("%q is not a metric name", name)
	}
	if !ok {
		return name, nil, nil
	}
	labels = map[string]string{}
	for {
		label, after, ok := strings.Cut(rest, `="`)
		if !ok || !isName(label, false) {
			return "", nil, fmt.Errorf("%q is not a label", rest)
		}
		end := endOfValue(after)
		if end < 0 {
			return "", nil, fmt.Errorf("the value of label %s does not end", label)
		}
		labels[label] = unescaper.Replace(after[:end])
		switch rest = after[end+1:]; {
		case rest == "}":
			return name, labels, nil
		case strings.HasPrefix(rest, ","):
			rest = rest[1:]
		default:
			return "", nil, fmt.Errorf("%q after the value of label %s", rest, label)
		}
	}
}

// endOfValue is the index of the quote that ends a label's value, or -1.
func endOfValue(s string) int {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return -1
}
