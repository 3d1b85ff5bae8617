package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"shakedown/bench/record"
	"shakedown/bench/verdict"
)

// Input is one run to report.
type Input struct {
	Result verdict.Result
	// Load reads the recording of the trial with the given index (verdict.Trial.Index). Only html calls it, for the
	// trials that it charts; nil means that no recording is at hand, and the page then says so in place of charts.
	Load func(i int) (record.Data, error)
}

// Options say how to write text. The zero value is 80 columns without colour.
type Options struct {
	Color bool // use ANSI colours (text only)
	Width int  // columns to wrap at (text only); 0 means 80
}

const defaultWidth = 80

// minWidth is the narrowest text that still reads; a smaller Width is raised to it.
const minWidth = 40

func (o Options) width() int {
	if o.Width == 0 {
		return defaultWidth
	}
	return max(o.Width, minWidth)
}

// A form is a format and its writer.
type form struct {
	name  string
	write func(io.Writer, Input, Options) error
}

// formats are in the order in which Formats lists them.
var formats = []form{
	{"text", writeText},
	{"html", writeHTML},
	{"json", func(w io.Writer, in Input, _ Options) error { return WriteJSON(w, []verdict.Result{in.Result}) }},
	{"junit", writeJUnit},
	{"md", writeMarkdown},
}

// Formats are the names that Write knows.
func Formats() []string {
	names := make([]string, 0, len(formats))
	for _, f := range formats {
		names = append(names, f.name)
	}
	return names
}

// Write writes one run in the given format. It fails on an unknown format, on a recording that Load cannot read,
// and where w fails.
func Write(w io.Writer, format string, in Input, opts Options) error {
	i := slices.IndexFunc(formats, func(f form) bool { return f.name == format })
	if i < 0 {
		return fmt.Errorf("unknown report format %q; one of %s", format, strings.Join(Formats(), ", "))
	}
	if err := formats[i].write(w, in, opts); err != nil {
		return fmt.Errorf("%s report: %w", format, err)
	}
	return nil
}
