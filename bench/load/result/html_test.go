package result

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"shakedown/bench"
	"shakedown/bench/load"
	"shakedown/internal/page/pagetest"
)

// charted is a result with a second of warm-up and two that are measured.
func charted(t testing.TB) Result {
	m := meta()
	m.Warmup, m.Measured = time.Second, 2*time.Second
	s := NewSeries(m.Warmup+m.Measured, true)
	for i := range 12 {
		one := tick(t, time.Duration(i+1)*load.TickEvery, map[float64]int64{1: 200, float64(2 + i): 40, 120: 1})
		if i < 4 {
			one.Dist = nil
		}
		s.Add(one)
	}
	return New(m, stats0(t), s)
}

func pageOf(t testing.TB, r Result) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := r.HTML(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

var (
	styles = regexp.MustCompile(`(?s)<style>.*?</style>`)
	script = regexp.MustCompile(`(?s)<script>.*?</script>`)
	policy = regexp.MustCompile(`(?s)content="default-src[^"]*"`)
)

// TestThePageIsAsItWas leaves out what all pages share: the style, the script, and their hashes.
func TestThePageIsAsItWas(t *testing.T) {
	got := pageOf(t, charted(t))
	got = policy.ReplaceAll(script.ReplaceAll(styles.ReplaceAll(got, []byte("<style/>")), []byte("<script/>")), []byte(`content="…"`))
	file := filepath.Join("testdata", "page.html")
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v (write it with go test -update)", err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the page differs from %s (go test -update accepts it):\n%s", file, got)
	}
}

func TestThePageNeedsNothingButItself(t *testing.T) {
	for name, r := range fixtures(t) {
		r.Target = "http://evil/<script>alert(1)</script>"
		text := string(pageOf(t, r))
		if strings.Contains(text, "<script>alert(1)") || strings.Contains(text, "<script src") || !strings.Contains(text, "default-src &#39;none&#39;") {
			t.Errorf("%s: the page is not safe", name)
		}
	}
}

func TestThePageWorksInABrowser(t *testing.T) {
	const driver = `
	log.charts = Number(root.dataset.charts);
	const canvas = d.querySelector(".plot canvas");
	if (canvas) {
		const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
		log.painted = new Set(new Uint32Array(pixels.buffer)).size;
	}
	const plot = d.querySelector(".plot");
	if (plot) {
		plot.dispatchEvent(new w.KeyboardEvent("keydown", { key: "ArrowLeft", bubbles: true, cancelable: true }));
		log.cursor = Boolean(d.querySelector(".legend output").textContent);
	}
	const background = () => w.getComputedStyle(d.body).backgroundColor, before = background();
	d.querySelector("#theme").click();
	log.themed = background() !== before && Number(root.dataset.charts) === log.charts;
	log.wide = root.scrollWidth > 1200;
	frame.width = 360;
	log.overflow = root.scrollWidth > 360;`
	all := fixtures(t)
	all["charted"] = charted(t)
	// Charts: response time, rates, percentiles, in flight, lag.
	for name, want := range map[string]int{"charted": 5, "search": 1, "nothing": 0} {
		var got struct {
			Charts, Painted                int
			Cursor, Themed, Wide, Overflow bool
		}
		if !pagetest.Drive(t, pageOf(t, all[name]), driver, &got) {
			return
		}
		if got.Charts != want || !got.Themed || got.Wide || got.Overflow {
			t.Errorf("%s: %+v, want %d charts, a theme, and nothing wider than its window", name, got, want)
		}
		if name == "charted" && (got.Painted < 20 || !got.Cursor) {
			t.Errorf("the heat map has %d colours, and the arrow key moves the cursor: %v", got.Painted, got.Cursor)
		}
	}
}

func TestWhatIsLeftAtTheEndIsNoFallOfTheRate(t *testing.T) {
	s := NewSeries(time.Second, true)
	for i := range 4 {
		s.Add(tick(t, time.Duration(i+1)*load.TickEvery, map[float64]int64{1: 250}))
	}
	s.Add(load.Tick{At: time.Second + time.Millisecond, Interval: bench.Ledger{OK: 1}})
	m := meta()
	m.Measured, m.Warmup = time.Second, 0
	r := New(m, stats0(t), s)
	if c := r.charts(); len(r.Series) != 5 || len(c.T) != 4 || len(c.Heat) != 4 {
		t.Errorf("%d intervals, %d charted, %d columns", len(r.Series), len(c.T), len(c.Heat))
	}
	if _, err := json.Marshal(r.charts()); err != nil {
		t.Error(err)
	}
}
