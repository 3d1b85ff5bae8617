package report_test

import (
	"testing"

	"shakedown/bench/report"
	"shakedown/internal/page/pagetest"
)

// driver uses everything on the page that can be used, and notes what came of it.
const driver = `
	log.loaded = Number(root.dataset.charts);
	log.picks = {};
	for (const input of d.querySelectorAll("#picks input")) {
		input.click();
		log.picks[input.name + input.value] = Number(root.dataset.charts);
	}
	log.timelines = d.querySelectorAll(".timeline:not([hidden])").length;
	const background = () => w.getComputedStyle(d.body).backgroundColor;
	const before = background(), drawn = root.dataset.charts;
	d.querySelector("#theme").click();
	log.themed = background() !== before && root.dataset.charts === drawn;
	d.querySelector("#theme").click();
	const plot = d.querySelector(".plot");
	if (plot) {
		plot.dispatchEvent(new w.KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true, cancelable: true }));
		log.cursor = Boolean(d.querySelector(".legend output").textContent);
	}
	w.dispatchEvent(new w.Event("beforeprint"));
	log.open = d.querySelectorAll("details:not([open])").length === 0;
	w.dispatchEvent(new w.Event("afterprint"));
	log.wide = root.scrollWidth > 1200;
	frame.width = 360;
	log.overflow = root.scrollWidth > 360;`

// TestThePageWorksInABrowser is the test of the page's script. It needs a Chromium on the PATH, as CI has; elsewhere
// it says that it did not look.
func TestThePageWorksInABrowser(t *testing.T) {
	// Charts: response time, goodput, percentiles, in flight, attempts, amplification, pool.
	for name, want := range map[string]int{"levels": 7, "single": 7, "void": 7, "calm": 4, "aborted": 0, "empty": 0} {
		t.Run(name, func(t *testing.T) {
			var got driven
			if !pagetest.Drive(t, write(t, "html", fixtures()[name], report.Options{}), driver, &got) {
				return
			}
			if got.Loaded != want {
				t.Errorf("%d charts, want %d", got.Loaded, want)
			}
			if !got.Themed || !got.Open {
				t.Errorf("the theme changes: %v; all details open on paper: %v", got.Themed, got.Open)
			}
			if got.Wide || got.Overflow {
				t.Errorf("the page is wider than its window: %v at 1200 px, %v at 360 px", got.Wide, got.Overflow)
			}
			if want > 0 && (!got.Cursor || got.Timelines > 1 || len(got.Picks) < 3) {
				t.Errorf("arrow key moves the cursor: %v; %d timelines at once; picks %v", got.Cursor, got.Timelines, got.Picks)
			}
			for pick, n := range got.Picks {
				// The third variant of the void run could not be read, so what is drawn of one variant is missing.
				if name == "void" && pick == "variant2" {
					continue
				}
				if n != want {
					t.Errorf("%d charts after picking %s, want %d", n, pick, want)
				}
			}
		})
	}
}

type driven struct {
	Loaded, Timelines                    int
	Picks                                map[string]int
	Themed, Cursor, Open, Wide, Overflow bool
}
