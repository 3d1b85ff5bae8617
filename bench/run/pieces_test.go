package run

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"shakedown/bench"
	"shakedown/internal/proc"
	"shakedown/internal/stack"
)

// attached is a server that the user gave. Only its being there counts.
type attached struct{ stack.Instance }

func TestSpansAreReadAsOffsetsInTheOrderOfTheirStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	line := func(s bench.Span) string {
		raw, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw) + "\n"
	}
	late, early := bench.Span{Kind: "late", Key: 7, Start: 1500, End: 1600, Value: 2}, bench.Span{Kind: "early", Start: 900, End: 1700}
	want := []bench.Span{{Kind: "early", Start: -100, End: 700}, {Kind: "late", Key: 7, Start: 500, End: 600, Value: 2}}
	for _, tt := range []struct {
		name, text string
		want       []bench.Span
		err        bool
	}{
		{"whole", line(late) + line(early), want, false},
		{"a last line that a killed service left torn is dropped", line(late) + line(early) + `{"kind":"torn","sta`, want, false},
		{"torn with its line's end", line(late) + line(early) + "{\"kind\n", want, false},
		{"damage in the middle is an error", line(late) + "{\n" + line(early), nil, true},
		{"empty", "", nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := readSpans(path, 1000)
			if (err != nil) != tt.err || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %v, %v; want %v", got, err, tt.want)
			}
		})
	}
	if got, err := readSpans(filepath.Join(t.TempDir(), "none"), 0); got != nil || err != nil {
		t.Errorf("a service that wrote no span: %v, %v", got, err)
	}
}

// start runs a shell script whose standard output goes to a firstLine.
func start(t *testing.T, script string) (*firstLine, *proc.Process) {
	t.Helper()
	keeper := proc.NewKeeper(nil)
	t.Cleanup(func() {
		if err := keeper.Close(); err != nil {
			t.Error(err)
		}
	})
	ready := newFirstLine()
	p, err := keeper.Start(t.Context(), proc.Spec{
		Name: "sh", Path: "/bin/sh", Args: []string{"-c", script}, Stdout: ready, Log: filepath.Join(t.TempDir(), "log"),
	})
	if err != nil {
		t.Fatal(err)
	}
	return ready, p
}

func TestAProcessIsReadyWithItsFirstLine(t *testing.T) {
	ready, p := start(t, `printf '{"addr":"'; printf '127.0.0.1:1"}\n{"addr":"x"}\nmore\n'; exec sleep 1000`)
	var said TargetReady
	if err := ready.wait(t.Context(), p, &said); err != nil || said.Addr != "127.0.0.1:1" {
		t.Errorf("it said %q, %v", said.Addr, err)
	}
}

func TestAProcessThatIsNotReadySaysWhy(t *testing.T) {
	canceled, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("time is up"))
	for _, tt := range []struct {
		name, script string
		ctx          context.Context
		want         []string
	}{
		{"it ends", `echo one >&2; echo "no database" >&2; exit 3`, t.Context(), []string{"exit status 3", "no database"}},
		{"it says something else", `echo hello; exec sleep 1000`, t.Context(), []string{"not what was expected"}},
		{"nobody waits any longer", `exec sleep 1000`, canceled, []string{"did not become ready", "time is up"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ready, p := start(t, tt.script)
			err := ready.wait(tt.ctx, p, &TargetReady{})
			for _, want := range tt.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("it says %v, want %q in it", err, want)
				}
			}
		})
	}
}

func TestTheHostIsWhatTheKernelSays(t *testing.T) {
	h := Host("cage")
	if h.Cores != runtime.NumCPU() || h.Arch != runtime.GOARCH || h.GoVersion != runtime.Version() || h.Containment != "cage" {
		t.Errorf("the host is %+v", h)
	}
	if h.OS == "" || h.Kernel == "" || h.MemoryGiB <= 0 || h.TimerSlackUS < 0 {
		t.Errorf("the host is %+v, with something missing", h)
	}
}

func TestAFieldIsTheFirstOfItsName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("model name\t: Some CPU: fast \nmodel name : other\nPRETTY_NAME=\"An OS\"\nempty:\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, sep, want string }{
		{"model name", ":", "Some CPU: fast"}, {"PRETTY_NAME", "=", `"An OS"`}, {"empty", ":", ""}, {"model", ":", ""}, {"none", ":", ""},
	} {
		if got := field(path, tt.name, tt.sep); got != tt.want {
			t.Errorf("%q is %q, want %q", tt.name, got, tt.want)
		}
	}
	if got := field(path+"x", "a", ":"); got != "" {
		t.Errorf("a file that is not there has %q", got)
	}
}

func TestOptionsThatMakeNoSenseAreRefused(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Options)
		want   string
	}{
		{"good", func(*Options) {}, ""},
		{"no repeat", func(o *Options) { o.Repeats = 0 }, "repeats"},
		{"too many", func(o *Options) { o.Repeats = 1001 }, "repeats"},
		{"an experiment that is not whole", func(o *Options) { o.Experiment.Phases = nil }, "phases"},
		{"a server that is not used", func(o *Options) { o.Attach = map[string]string{"kafka": "x"} }, "kafka"},
		{"a server that is used", func(o *Options) { o.Attach = map[string]string{"redis": "x"} }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := tiny(t, 100, 300*time.Millisecond)
			tt.change(&o)
			err := o.validate()
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("validate says %v, want one that names %q", err, tt.want)
			}
		})
	}
}
