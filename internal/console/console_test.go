package console

import (
	"bytes"
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/text/width"

	"shakedown/bench"
	"shakedown/bench/load"
	"shakedown/bench/record"
	"shakedown/bench/run"
)

var update = flag.Bool("update", false, "write the golden file")

// play shows a view what happens in a run of two trials. It is to be called in a bubble, where time stands still.
func play(v *View) {
	plain := run.Planned{Variant: bench.Variant{Name: "plain"}, Length: 10 * time.Second}
	slow := run.Planned{Variant: bench.Variant{Name: "a-variant-with-quite-a-long-name"}, Level: bench.Level{Name: "closed"}, Length: 10 * time.Second}
	v.Planned([]run.Planned{plain, slow}, 90*time.Second)
	v.Doing("measuring the capacity")
	v.TrialStarted(plain)
	v.PhaseStarted("baseline", 5*time.Second)
	time.Sleep(1500 * time.Millisecond)
	v.Tick(load.Tick{InFlight: 12, Interval: bench.Ledger{Scheduled: 100, OK: 100}, P50: 800 * time.Microsecond, P99: 14 * time.Millisecond})
	fault := record.FaultSpan{Fault: "blackhole service→redis", Kind: "blackhole"}
	v.PhaseStarted("fault", 5*time.Second)
	v.Fault(fault, false)
	v.Fault(record.FaultSpan{Fault: "latency 20ms each way on service→postgres"}, false)
	v.Tick(load.Tick{
		InFlight: 240, Interval: bench.Ledger{Scheduled: 100, OK: 40, Degraded: 10, Refused: 20, Failed: 15, Unsure: 10, Unsent: 5},
		P50: 90 * time.Millisecond, P99: 2 * time.Second,
	})
	v.Fault(fault, true)
	v.Finding("service-0 died: exit status 2; it last said: " + strings.Repeat("panic ", 40))
	v.TrialEnded(plain, run.Summary{Stats: load.Stats{Ledger: bench.Ledger{Scheduled: 200, OK: 140, Degraded: 10, Failed: 50}}})
	again := plain
	again.Again = true
	v.TrialStarted(again)
	v.TrialEnded(again, run.Summary{Stats: load.Stats{Ledger: bench.Ledger{Scheduled: 200, OK: 200}}})
	v.TrialStarted(slow)
	v.TrialEnded(slow, run.Summary{})
	v.Close()
}

func drawn(t *testing.T, columns int) string {
	t.Helper()
	var out bytes.Buffer
	synctest.Test(t, func(*testing.T) { play(New(&out, "cache/aside/stampede", func() int { return columns })) })
	return out.String()
}

func TestTheDrawnLines(t *testing.T) {
	const golden = "testdata/run.golden"
	got := strings.ReplaceAll(drawn(t, 80), "\x1b", "ESC")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("drawn differently; -update writes %s anew. Got:\n%s", golden, got)
	}
}

var escape = regexp.MustCompile("\x1b\\[[0-9]*[A-Za-z]")

// columnsOf is how many columns a terminal needs for a line (Unicode Standard Annex 11).
func columnsOf(line string) int {
	n := 0
	for _, r := range line {
		n++
		if k := width.LookupRune(r).Kind(); k == width.EastAsianWide || k == width.EastAsianFullwidth {
			n++
		}
	}
	return n
}

func TestNoLineIsWiderThanTheTerminal(t *testing.T) {
	for _, columns := range []int{1, 20, 40, 79, 80, 200} {
		for _, line := range strings.Split(escape.ReplaceAllString(drawn(t, columns), ""), "\n") {
			if n := columnsOf(line); n > columns {
				t.Errorf("on %d columns, a line of %d: %q", columns, n, line)
			}
		}
	}
}

// replay is what output leaves on a terminal without bounds.
func replay(t *testing.T, output string) []string {
	t.Helper()
	var screen []string
	up := regexp.MustCompile("^\x1b\\[([0-9]+)F\x1b\\[J")
	for output != "" {
		if m := up.FindStringSubmatch(output); m != nil {
			output = output[len(m[0]):]
			n := int(m[1][0] - '0')
			if n > len(screen) {
				t.Fatalf("goes up %d lines of %d", n, len(screen))
			}
			screen = screen[:len(screen)-n]
			continue
		}
		line, more, _ := strings.Cut(output, "\n")
		screen, output = append(screen, escape.ReplaceAllString(line, "")), more
	}
	return screen
}

func TestWhatIsErasedIsWhatWasDrawn(t *testing.T) {
	screen := replay(t, drawn(t, 80))
	wants := []string{"cache/aside/stampede", "measuring", "! service-0 died", "  1/2 plain", "  1/2 plain (again)", "  2/2 a-variant"}
	if len(screen) != len(wants) {
		t.Fatalf("%d lines stay, want %d:\n%s", len(screen), len(wants), strings.Join(screen, "\n"))
	}
	for i, want := range wants {
		if !strings.HasPrefix(screen[i], want) {
			t.Errorf("line %d: %q, want %q", i, screen[i], want)
		}
	}
}

func TestRoughly(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "no time", 0: "no time", 300 * time.Millisecond: "1 s", 59 * time.Second: "59 s",
		61 * time.Second: "2 min", 2 * time.Hour: "2.0 h",
	} {
		if got := roughly(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}
