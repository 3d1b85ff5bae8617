package session

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"shakedown/bench/record"
	"shakedown/bench/report"
	"shakedown/bench/run"
	"shakedown/bench/verdict"
	"shakedown/internal/console"
	"shakedown/internal/exit"
	"shakedown/internal/judge"
	"shakedown/internal/version"
)

// DefaultTelemetry is where /metrics is served when nobody says otherwise. When it is taken, telemetry is left out; an
// address that the user names must be free.
const DefaultTelemetry = "127.0.0.1:9477"

// DefaultAgain is how often a void trial is run again when nobody says otherwise.
const DefaultAgain = 1

// Options are the flags of `shakedown run`.
type Options struct {
	Experiments           []string
	Repeats, Again        int
	Quick                 bool
	Seed                  uint64
	SeedGiven             bool // else a seed is drawn
	Variants, Params      []string
	Out, Format           string
	PostgresURL, RedisURL string
	EtcdURL, MariaDBURL   string
	RabbitMQURL, NATSURL  string
	AllowTarget           []string
	Telemetry             string // an address that must be free, "off", or nothing for DefaultTelemetry if it is free
}

// Formats are what `shakedown run` can print.
func Formats() []string { return []string{"text", "json", "ndjson"} }

// Run prepares, runs and judges every experiment, and prints what came out. Its error is an exit.Status when the verdicts, and not
// an error, decide the exit code. An experiment that breaks does not keep the next from running; an abort does.
func Run(ctx context.Context, o Options, out, progress io.Writer) error {
	if err := o.complete(); err != nil {
		return &run.InputError{Err: err}
	}
	jobs, err := Prepare(Request{
		Experiments: o.Experiments, Quick: o.Quick, Variants: o.Variants, Params: o.Params, Out: o.Out,
		Attach: map[string]string{
			"postgres": o.PostgresURL, "redis": o.RedisURL, "etcd": o.EtcdURL, "rabbitmq": o.RabbitMQURL, "nats": o.NATSURL,
			"mariadb": o.MariaDBURL,
		}, AllowTarget: o.AllowTarget,
	}, time.Now())
	if err != nil {
		return err
	}
	var results []verdict.Result
	var errs []error
	for _, job := range jobs {
		result, err := o.one(ctx, job, out, progress)
		if result != nil {
			results = append(results, *result)
			errs = append(errs, Status(*result))
		}
		errs = append(errs, err)
		if errors.Is(err, run.ErrAborted) {
			break
		}
	}
	if o.Format == "json" && len(results) > 0 {
		if err := report.WriteJSON(out, results); err != nil {
			return err
		}
	}
	return worst(errs)
}

func (o *Options) complete() error {
	if !slices.Contains(Formats(), o.Format) {
		return fmt.Errorf("-o %s: the formats are %s", o.Format, strings.Join(Formats(), ", "))
	}
	if o.Repeats < 0 || o.Repeats > 1000 {
		return fmt.Errorf("--repeats %d: must be 1 to 1000", o.Repeats)
	}
	if o.Again < 0 || o.Again > 10 {
		return fmt.Errorf("--again %d: must be 0 to 10", o.Again)
	}
	if o.Repeats == 0 {
		o.Repeats = 5
		if o.Quick {
			o.Repeats = 1
		}
	}
	if !o.SeedGiven {
		var b [4]byte // short enough to be typed
		if _, err := crand.Read(b[:]); err != nil {
			return err
		}
		o.Seed = uint64(binary.LittleEndian.Uint32(b[:]))
	}
	return nil
}

// one runs and judges one experiment. The result is nil when there is nothing to judge.
func (o Options) one(ctx context.Context, job Job, out, progress io.Writer) (*verdict.Result, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	view, closeView := o.view(job, progress)
	runErr := run.Run(ctx, run.Options{
		Pattern: job.Pattern, Experiment: job.Experiment, Claims: job.Claims, Seed: o.Seed, Repeats: o.Repeats, Again: o.Again, Quick: o.Quick,
		Out: job.Out, Attach: job.Attach, Program: program, Command: o.command(job), Version: version.Number, Commit: version.Commit(),
		Telemetry: o.telemetry(), Progress: view,
	})
	closeView()
	if runErr != nil && !recorded(job.Out) {
		return nil, runErr
	}
	in, err := judge.Dir(job.Out)
	if err != nil {
		return nil, errors.Join(runErr, err)
	}
	page, err := judge.Keep(job.Out, in)
	if err != nil {
		return &in.Result, errors.Join(runErr, err)
	}
	return &in.Result, errors.Join(runErr, o.print(out, in, page))
}

func (o Options) telemetry() string {
	switch {
	case o.Telemetry == "off", o.Telemetry == "" && !free(DefaultTelemetry):
		return ""
	case o.Telemetry == "":
		return DefaultTelemetry
	default:
		return o.Telemetry
	}
}

// recorded says whether a run left a trial that can be shown.
func recorded(dir string) bool {
	rec, err := record.Open(dir)
	return err == nil && rec.Trials() > 0
}

func (o Options) print(out io.Writer, in report.Input, page string) error {
	switch o.Format {
	case "json":
		return nil // one document, at the end
	case "ndjson":
		raw, err := json.Marshal(in.Result)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(out, "%s\n", raw)
		return err
	default:
		if err := report.Write(out, "text", in, TextOptions(out)); err != nil {
			return err
		}
		_, err := fmt.Fprintf(out, "\nreport: %s\n", page)
		return err
	}
}

// view is a live view where somebody looks: on a terminal.
func (o Options) view(job Job, w io.Writer) (run.Progress, func()) {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil, func() {}
	}
	v := console.New(w, job.Experiment.Name, func() int { return width(f) })
	return v, v.Close
}

// command runs the same again, on one line.
func (o Options) command(job Job) []string {
	c := []string{"shakedown", "run", job.Name, "--seed", fmt.Sprint(o.Seed), "--repeats", fmt.Sprint(o.Repeats)}
	if o.Again != DefaultAgain {
		c = append(c, "--again", fmt.Sprint(o.Again))
	}
	if o.Quick {
		c = append(c, "--quick")
	}
	for _, p := range o.Params {
		c = append(c, "-p", p)
	}
	if len(o.Variants) > 0 {
		c = append(c, "--variant", strings.Join(o.Variants, ","))
	}
	for _, engine := range slices.Sorted(maps.Keys(job.Attach)) {
		c = append(c, "--"+engine+"-url", redacted(job.Attach[engine]))
	}
	for _, host := range o.AllowTarget {
		c = append(c, "--allow-target", host)
	}
	return c
}

// redacted is a URL fit to be stored: its password is crossed out.
func redacted(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "URL"
	}
	if q := u.Query(); q.Has("password") {
		q.Set("password", "xxxxx")
		u.RawQuery = q.Encode()
	}
	return u.Redacted()
}

// TextOptions suit a writer: colour and full width on a terminal, neither elsewhere.
func TextOptions(w io.Writer) report.Options {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return report.Options{Width: 100}
	}
	return report.Options{Color: os.Getenv("NO_COLOR") == "", Width: min(width(f), 120)}
}

func width(f *os.File) int {
	w, _, err := term.GetSize(int(f.Fd()))
	if err != nil || w <= 0 {
		return 80
	}
	return w
}

// Status is how a judged run ends the program: nil, exit.Void, or exit.Unexpected.
func Status(r verdict.Result) error {
	switch {
	case r.Void:
		return exit.Status(exit.Void)
	case !r.AsExpected:
		return exit.Status(exit.Unexpected)
	default:
		return nil
	}
}

// worst is what decides the exit code of several experiments: errors before verdicts, void before unexpected.
func worst(errs []error) error {
	var status exit.Status
	var others []error
	for _, err := range errs {
		var s exit.Status
		switch {
		case err == nil:
		case errors.As(err, &s):
			status = max(status, s)
		default:
			others = append(others, err)
		}
	}
	if len(others) > 0 {
		return errors.Join(others...)
	}
	if status != 0 {
		return status
	}
	return nil
}
