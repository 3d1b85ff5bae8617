package console

import (
	"bytes"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"shakedown/bench"
	"shakedown/bench/load"
	"shakedown/bench/load/search"
)

// ticks are those of a load whose server answers in about a millisecond, and in a second now and then; it slows down from a tick on.
func ticks(warmup, length time.Duration, slowFrom int) []load.Tick {
	rng := rand.New(rand.NewPCG(1, 1))
	var all []load.Tick
	for n := 0; time.Duration(n+1)*load.TickEvery <= warmup+length; n++ {
		t := load.Tick{At: time.Duration(n+1) * load.TickEvery, InFlight: 4, Dist: &load.Distributions{
			Response: load.NewHistogram(), Lag: load.NewHistogram(), Wait: load.NewHistogram(),
		}}
		t.Interval = bench.Ledger{Scheduled: 250, OK: 250}
		if n >= slowFrom {
			t.InFlight, t.Interval = 800, bench.Ledger{Scheduled: 250, OK: 200, Degraded: 5, Refused: 10, Failed: 15, Unsure: 12, Unsent: 8}
		}
		for range t.Interval.OK {
			ms := 0.3 + rng.ExpFloat64()
			if n >= slowFrom {
				ms *= 100
			}
			if t.At <= warmup {
				continue // not measured
			}
			_ = t.Dist.Response.RecordValue(int64(ms * 1e6))
			_ = t.Dist.Lag.RecordValue(int64(20_000 + 1000*ms))
			_ = t.Dist.Wait.RecordValue(int64(1000 * ms))
		}
		all = append(all, t)
	}
	return all
}

// playLoad shows a view what happens in a load, and in a search after it.
func playLoad(v *Load) {
	v.Begin("http://127.0.0.1:8080/  poisson 1000/s", time.Second, 5*time.Second)
	for _, t := range ticks(time.Second, 5*time.Second, 16) {
		v.Tick(t)
	}
	v.Tick(load.Tick{At: 7 * time.Second})
	v.Begin("1000/s", 0, 500*time.Millisecond)
	for _, t := range ticks(0, 500*time.Millisecond, 99) {
		v.Tick(t)
	}
	v.Tried(search.Trial{RatePerS: 1000, Met: true, Valid: true, Settled: true, P99MS: 12.3, Goodput: 0.99996, Purpose: search.Look})
	v.Begin("2000/s", 0, 500*time.Millisecond)
	v.Tried(search.Trial{RatePerS: 2000, Valid: true, BacklogGrowthPerS: 812, Goodput: 0.5, Purpose: search.Repeat})
	v.Tried(search.Trial{RatePerS: 2000, Why: []string{"the hypervisor took 9 % of the processors", strings.Repeat("and more ", 40)}})
	v.Close()
}

func drawnLoad(columns int) string {
	var out bytes.Buffer
	playLoad(NewLoad(&out, func() int { return columns }))
	return out.String()
}

func TestTheDrawnLinesOfALoad(t *testing.T) {
	const golden = "testdata/load.golden"
	got := strings.ReplaceAll(drawnLoad(100), "\x1b", "ESC")
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

func TestNoLineOfALoadIsWiderThanTheTerminal(t *testing.T) {
	for _, columns := range []int{1, 20, 40, 79, 80, 200} {
		for _, line := range strings.Split(escape.ReplaceAllString(drawnLoad(columns), ""), "\n") {
			if n := columnsOf(line); n > columns {
				t.Errorf("on %d columns, a line of %d: %q", columns, n, line)
			}
		}
	}
}

func TestOnlyTheTrialsOfASearchStay(t *testing.T) {
	screen := replay(t, drawnLoad(100))
	wants := []string{"  1000/s  met     p99    12 ms  goodput 99.99 %", "  2000/s  missed  the queue grows by 812/s", "  2000/s  void    the hypervisor"}
	if len(screen) != len(wants) {
		t.Fatalf("%d lines stay, want %d:\n%s", len(screen), len(wants), strings.Join(screen, "\n"))
	}
	for i, want := range wants {
		if !strings.HasPrefix(screen[i], want) {
			t.Errorf("line %d: %q, want %q", i, screen[i], want)
		}
	}
}

func TestTheHeatHasOneColumnATickAndTheLongestTimesOnTop(t *testing.T) {
	var m heat
	for range 3 {
		h := load.NewHistogram()
		_ = h.RecordValues(int64(time.Millisecond), 900)
		_ = h.RecordValues(int64(time.Second), 5)
		_ = h.RecordValues(int64(10*time.Millisecond), 95)
		m.add(h)
	}
	m.add(load.NewHistogram())
	rows := m.rows(80)
	if len(rows) != heatRows {
		t.Fatalf("%d rows", len(rows))
	}
	for i, want := range []string{"░░░ ", "    ", "▒▒▒ ", "███ "} {
		if got := string([]rune(escape.ReplaceAllString(rows[i], ""))[12:]); got != want {
			t.Errorf("row %d: %q, want %q", i, got, want)
		}
	}
}

func TestPercentIsNeverRoundedUpToAll(t *testing.T) {
	for share, want := range map[float64]string{1: "100 %", 0.99999: "99.99 %", 0.9994: "99.94 %", 0.5: "50 %", 0: "0 %"} {
		if got := percent(share); got != want {
			t.Errorf("%v: %s, want %s", share, got, want)
		}
	}
}
