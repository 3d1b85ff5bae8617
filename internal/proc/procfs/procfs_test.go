package procfs

import (
	"errors"
	"os"
	"testing"
)

func TestParseStat(t *testing.T) {
	const rest = " 4026 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 1000 200"
	for name, tc := range map[string]struct {
		raw  string
		want Stat
		ok   bool
	}{
		"plain":                  {"7 (cat) S 1 7" + rest, Stat{7, "cat", 'S', 1, 7, 98765}, true},
		"spaces and brackets":    {"7 (a) R (b) Z 12 9" + rest, Stat{7, "a) R (b", 'Z', 12, 9, 98765}, true},
		"cut short":              {"7 (cat) S 1 7", Stat{}, false},
		"no command":             {"7 cat S", Stat{}, false},
		"empty":                  {"", Stat{}, false},
		"a pid that is no digit": {"x (cat) S 1 7" + rest, Stat{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseStat([]byte(tc.raw))
			if (err == nil) != tc.ok || got != tc.want {
				t.Fatalf("got %+v, %v; want %+v, ok=%v", got, err, tc.want, tc.ok)
			}
		})
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("7 (cat) S 1 7 4026 4026 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 1000 200"))
	f.Fuzz(func(_ *testing.T, raw []byte) { _, _ = parseStat(raw) })
}

func TestParseRollup(t *testing.T) {
	const whole = "00400000-7ff r--p 0 00:00 0 [rollup]\nRss: 9 kB\nPss: 100 kB\nPss_Dirty: 7 kB\nPrivate_Clean: 3 kB\nPrivate_Dirty: 4 kB\n"
	got, err := parseRollup([]byte(whole))
	if want := (Memory{PSS: 100 << 10, Private: 7 << 10}); err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	if _, err := parseRollup([]byte("Rss: 9 kB\n")); !errors.Is(err, ErrGone) {
		t.Errorf("a map without totals (the process ended while it was read): got %v, want ErrGone", err)
	}
}

func TestThisProcessIsSeenAsItIs(t *testing.T) {
	st, err := ReadStat(os.Getpid())
	if err != nil || st.Parent != os.Getppid() || st.Gone() || st.Stopped() {
		t.Fatalf("ReadStat(self) = %+v, %v", st, err)
	}
	if again, _ := ReadStat(os.Getpid()); again.StartTicks != st.StartTicks {
		t.Errorf("the start time changed from %d to %d", st.StartTicks, again.StartTicks)
	}
	tree, err := Tree(os.Getpid())
	if err != nil || len(tree) == 0 || tree[0].PID != os.Getpid() {
		t.Errorf("Tree(self) = %+v, %v", tree, err)
	}
	exe, _ := os.Executable()
	if got := Exe(os.Getpid()); got != exe {
		t.Errorf("Exe(self) = %q, want %q", got, exe)
	}
	wd, _ := os.Getwd()
	if got := Dir(os.Getpid()); got != wd {
		t.Errorf("Dir(self) = %q, want %q", got, wd)
	}
	if m, err := ReadMemory(os.Getpid()); err != nil || m.PSS <= 0 || m.Private <= 0 {
		t.Errorf("ReadMemory(self) = %+v, %v", m, err)
	}
	if len(os.Environ()) > 0 && !HasEnv(os.Getpid(), os.Environ()[0]) {
		t.Errorf("HasEnv does not see %q", os.Environ()[0])
	}
}

func TestNoSuchProcessIsErrGone(t *testing.T) {
	const never = 1 << 30 // above the kernel's largest pid
	if _, err := ReadStat(never); !errors.Is(err, ErrGone) {
		t.Errorf("ReadStat: %v", err)
	}
	if tree, err := Tree(never); err != nil || len(tree) != 0 {
		t.Errorf("Tree: %v, %v", tree, err)
	}
	if _, err := InnerPID(never); !errors.Is(err, ErrGone) {
		t.Errorf("InnerPID: %v", err)
	}
	if HasEnv(never, "A=b") || Exe(never) != "" || Dir(never) != "" {
		t.Error("something is said of a process that does not exist")
	}
}
