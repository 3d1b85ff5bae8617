package peer

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func file(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestWhatPeersSayIsUnderstood(t *testing.T) {
	nan := math.NaN()
	for _, tc := range []struct {
		file string
		read func([]byte) (Result, error)
		want Result
	}{
		{
			"wrk.txt", func(b []byte) (Result, error) { return readWrk(b, "", "") },
			Result{OK: 198553, Length: 1100158 * time.Microsecond, Times: Times{0.034, 0.053, 0.064, 0.103, 1.210}},
		},
		{
			"hey.txt", func(b []byte) (Result, error) { return readHey(b, "", "") },
			Result{OK: 47551, Length: 1000200 * time.Microsecond, Times: Times{0.1, 0.3, 0.3, 1.0, nan}},
		},
		{
			"hey-refused.txt", func(b []byte) (Result, error) { return readHey(b, "", "") },
			Result{Failed: 70544, Length: 1000600 * time.Microsecond, Times: untold()},
		},
		{
			"oha.json", func(b []byte) (Result, error) { return readOha(b, "", "") },
			Result{OK: 4990, Failed: 13, Length: 5002 * time.Millisecond, Times: Times{1.5, 2.5, 3.5, 4.5, 5.5}},
		},
		{
			"vegeta.csv", readVegeta,
			Result{OK: 19, Failed: 1, Length: 949709, Times: Times{0.3, 0.5, 0.5, 0.9, 0.9}},
		},
		{
			"k6.json", func(b []byte) (Result, error) { return readK6(b, "", "") },
			Result{OK: 26502, Length: 1000500 * time.Microsecond, Times: Times{0.1, 0.2, 0.3, 0.4, 0.5}},
		},
		{
			"shakedown.json", func(b []byte) (Result, error) { return readShakedown(b, "", "") },
			Result{OK: 9990, Failed: 10, Length: 10 * time.Second, Times: Times{1, 2, 3, 4, 5}},
		},
	} {
		got, err := tc.read(file(t, tc.file))
		if err != nil {
			t.Errorf("%s: %v", tc.file, err)
			continue
		}
		if own := got.Own; own != nil && (!own.Ledger.Balances() || own.Lag.P99 != 0.04 || own.MaxMB != 20.5 || len(own.Reasons) != 1) {
			t.Errorf("%s: %+v", tc.file, own)
		}
		got.Own = nil
		if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", tc.want) { // NaN is not NaN
			t.Errorf("%s:\n%+v, want\n%+v", tc.file, got, tc.want)
		}
	}
}

func TestWhatIsNotUnderstoodIsAnError(t *testing.T) {
	for name, read := range map[string]func([]byte, string, string) (Result, error){
		"wrk": readWrk, "hey": readHey, "oha": readOha, "k6": readK6, "shakedown": readShakedown,
		"vegeta": func(b []byte, _, _ string) (Result, error) { return readVegeta(b) },
	} {
		for _, text := range []string{"", "unable to connect to 127.0.0.1:1 Connection refused", "1,2\n", "\n{}}", "{}"} {
			if name == "oha" && text == "{}" {
				continue // nothing is required of it
			}
			if r, err := read([]byte(text), "", ""); err == nil {
				t.Errorf("%s: %q is taken for %+v", name, text, r)
			}
		}
	}
}

func TestEachPeerIsAskedForTheSameLoad(t *testing.T) {
	open := Load{URL: "http://127.0.0.1:1/", Length: 5 * time.Second, Connections: 64, Rate: 30000, Timeout: 2 * time.Second}
	closed := open
	closed.Rate = 0
	for _, p := range append(All(), Shakedown("epoll")) {
		for _, l := range []Load{open, closed} {
			if l.Rate > 0 && !p.Open || l.Rate == 0 && !p.Closed {
				continue
			}
			dir := t.TempDir()
			args, input, err := p.command(l, dir)
			if err != nil {
				t.Fatal(err)
			}
			said := strings.Join(args, " ") + input
			if script, err := os.ReadFile(filepath.Join(dir, "script.js")); err == nil {
				said += string(script)
			}
			for _, what := range []string{l.URL, "5s", "64"} {
				if !strings.Contains(said, what) {
					t.Errorf("%s: %s is not in: %s", p.Name, what, said)
				}
			}
			if l.Rate > 0 != strings.Contains(said, "30000") {
				t.Errorf("%s: the rate is %v: %s", p.Name, l.Rate, said)
			}
		}
	}
}

func TestAPeerThatIsNotThereSaysSo(t *testing.T) {
	p := Wrk()
	p.program = "surely-not-installed"
	if _, _, err := p.Find(t.TempDir()); err == nil || !strings.Contains(err.Error(), "wrk is not installed") {
		t.Errorf("the error is %v", err)
	}
}

func TestAChildIsAccountedFor(t *testing.T) {
	p := Peer{
		Name: "sh", command: func(Load, string) ([]string, string, error) { return []string{"-c", "cat; exit 4"}, "heard", nil },
		read:     func(out []byte, _, _ string) (Result, error) { return Result{OK: int64(len(out))}, nil },
		bearable: func(code int) bool { return code == 4 },
	}
	r, err := p.Run(t.Context(), "/bin/sh", Load{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if r.OK != int64(len("heard")) || r.Wall <= 0 || r.MaxRSSMB <= 0 {
		t.Errorf("%+v", r)
	}
	p.bearable = nil
	if _, err := p.Run(t.Context(), "/bin/sh", Load{}, Anywhere); err == nil || !strings.Contains(err.Error(), "heard") {
		t.Errorf("the error is %v; it should have the last words", err)
	}
}

func TestAPrefixLeavesTheCallersSliceAlone(t *testing.T) {
	prefix := make([]string, 1, 8)
	prefix[0] = "env"
	cmd := Command(t.Context(), 1, prefix, "true", "x")
	if want := []string{"taskset", "-c", "1", "env", "true", "x"}; !slices.Equal(cmd.Args, want) {
		t.Errorf("%q, want %q", cmd.Args, want)
	}
	if extra := prefix[:2]; extra[1] != "" {
		t.Errorf("the caller's array holds %q", extra)
	}
}
