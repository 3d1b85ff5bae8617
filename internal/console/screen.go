package console

import (
	"fmt"
	"io"
)

const (
	dim    = "\x1b[2m"
	bold   = "\x1b[1m"
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	reset  = "\x1b[0m"
)

// A screen is a terminal with a few lines at the bottom that change in place.
type screen struct {
	out   io.Writer
	width func() int // asked anew for every drawing
	drawn int        // lines that change
}

// print puts a line above what changes in place, which is to be drawn again.
func (s *screen) print(line string) {
	s.erase()
	_, _ = fmt.Fprintln(s.out, clip(line, s.width()))
}

// show draws the lines that change in place of those before.
func (s *screen) show(lines []string) {
	s.erase()
	width := s.width()
	for _, l := range lines {
		_, _ = fmt.Fprintln(s.out, clip(l, width))
	}
	s.drawn = len(lines)
}

func (s *screen) erase() {
	if s.drawn > 0 {
		_, _ = fmt.Fprintf(s.out, "\x1b[%dF\x1b[J", s.drawn)
		s.drawn = 0
	}
}

// clip cuts a line to the width of the terminal, so that it never wraps and the count of lines stays right.
func clip(line string, width int) string {
	if width <= 0 {
		return line
	}
	seen, inEscape := 0, false
	for i, r := range line {
		switch {
		case inEscape:
			inEscape = r != 'm'
		case r == '\x1b':
			inEscape = true
		default:
			if seen++; seen > width {
				return line[:i] + reset
			}
		}
	}
	return line
}
