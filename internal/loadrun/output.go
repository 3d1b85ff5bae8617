package loadrun

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/term"

	"shakedown/bench/load"
	"shakedown/bench/load/result"
	"shakedown/bench/load/search"
	"shakedown/bench/run"
	"shakedown/internal/console"
)

// An output is all that a load is written to: standard output, the files that the user asked for, and the terminal.
type output struct {
	format    string
	out       io.Writer
	hdr, page *file
	view      *console.Load  // nil: nobody looks
	lines     *result.NDJSON // nil: not asked for
	err       error          // the first of a line
}

// newOutput opens the files early, so that nobody waits for a load whose result cannot be kept.
func newOutput(o Options, out, progress io.Writer) (w *output, err error) {
	w = &output{format: o.Format, out: out}
	defer func() {
		if err != nil {
			err = errors.Join(&run.InputError{Err: err}, w.close())
		}
	}()
	if w.hdr, err = create("--hdr", o.HDR); err != nil {
		return w, err
	}
	page := o.Report
	if page == "html" {
		page = "load-" + time.Now().Format("20060102-150405") + ".html"
	}
	if w.page, err = create("--report", page); err != nil {
		return w, err
	}
	if o.Format == "ndjson" {
		w.lines = result.NewNDJSON(out)
	}
	if f, ok := progress.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		w.view = console.NewLoad(progress, func() int { return width(f) })
	}
	return w, nil
}

func width(f *os.File) int {
	w, _, err := term.GetSize(int(f.Fd()))
	if err != nil || w <= 0 {
		return 80
	}
	return w
}

// A file that nothing was written to is removed.
type file struct {
	*os.File
	kept bool
}

// create makes a file, or empties it; an empty name is none.
func create(flag, name string) (*file, error) {
	if name == "" {
		return nil, nil
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	return &file{File: f}, nil
}

// Write writes, and so keeps the file.
func (f *file) Write(b []byte) (int, error) {
	f.kept = true
	return f.File.Write(b)
}

// checkReport looks at the name of a page.
func checkReport(name string) error {
	if name != "" && name != "html" && filepath.Ext(name) != ".html" {
		return fmt.Errorf("--report %s: the name of a page ends in .html; html alone picks one", name)
	}
	return nil
}

// close closes the view and the files.
func (w *output) close() (err error) {
	if w.view != nil {
		w.view.Close()
	}
	for _, f := range []*file{w.hdr, w.page} {
		if f == nil {
			continue
		}
		err = errors.Join(err, f.Close())
		if !f.kept {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}
	return err
}

// A recording is what is kept of one load while it runs.
type recording struct {
	started time.Time
	series  *result.Series
	log     *result.HDRLog // nil: not asked for
	hdr     *bytes.Buffer  // what the log wrote, where it is not known yet whether it is kept
}

// record begins a recording of a load that is about to begin. Its log goes to hdr, or to the file where there is none.
func (w *output) record(s shape, hdr *bytes.Buffer) (r *recording, err error) {
	r = &recording{started: time.Now(), series: result.NewSeries(s.warmup+s.length, w.page != nil), hdr: hdr}
	switch {
	case hdr != nil:
		r.log, err = result.NewHDRLog(hdr, r.started)
	case w.hdr != nil:
		r.log, err = result.NewHDRLog(w.hdr, r.started)
	}
	return r, err
}

// showing tells the view which load begins.
func (w *output) showing(title string, s shape) {
	if w.view != nil {
		w.view.Begin(title, s.warmup, s.length)
	}
}

// tick is called while a load runs.
func (w *output) tick(r *recording, t load.Tick) {
	r.series.Add(t)
	if r.log != nil {
		r.log.Add(t)
	}
	if w.lines != nil && w.err == nil {
		w.err = w.lines.Add(t)
	}
	if w.view != nil {
		w.view.Tick(t)
	}
}

// line writes one line of NDJSON of a type that is not the result's own.
func line(out io.Writer, kind string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "{\"type\":%q,%s\n", kind, raw[1:])
	return err
}

// result writes what the load came to; found is the search that it was part of, or nil.
func (w *output) result(j *job, t trial, rec *recording, found *search.Result) error {
	if w.view != nil {
		w.view.Close()
	}
	errs := []error{w.err}
	if rec.log != nil {
		errs = append(errs, rec.log.Close())
	}
	if rec.hdr != nil {
		_, err := w.hdr.Write(rec.hdr.Bytes())
		errs = append(errs, err)
	}
	meta := j.meta(t, rec)
	meta.Search = found
	r := result.New(meta, t.stats, rec.series)
	switch w.format {
	case "json":
		errs = append(errs, r.JSON(w.out))
	case "ndjson":
		errs = append(errs, w.lines.Result(r))
	default:
		errs = append(errs, r.Text(w.out))
	}
	if w.page != nil {
		errs = append(errs, r.HTML(w.page))
	}
	return errors.Join(errs...)
}
