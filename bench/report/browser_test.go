package report_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"shakedown/bench/report"
)

// driver loads the page in a frame of its own origin, uses everything that can be used, and notes what came of it.
const driver = `<!doctype html><html><body><iframe src="/report" width="1200" height="4000"></iframe><script>
onload = () => {
	const w = frames[0], d = w.document, root = d.documentElement, log = { loaded: Number(root.dataset.charts), picks: {} };
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
	frames[0].frameElement.width = 360;
	log.overflow = root.scrollWidth > 360;
	document.documentElement.dataset.log = JSON.stringify(log);
};
</script></body></html>`

// TestThePageWorksInABrowser is the test of the page's script. It needs a Chromium on the PATH, as CI has; elsewhere
// it says that it did not look.
func TestThePageWorksInABrowser(t *testing.T) {
	browser := chromium()
	if browser == "" {
		t.Log("no chromium on the PATH: the page's script was not tested")
		return
	}
	// Charts: response time, goodput, percentiles, in flight, attempts, amplification, pool.
	for name, want := range map[string]int{"levels": 7, "single": 7, "void": 7, "calm": 4, "aborted": 0, "empty": 0} {
		t.Run(name, func(t *testing.T) {
			page := write(t, "html", fixtures()[name], report.Options{})
			got := drive(t, browser, page)
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

func drive(t *testing.T, browser string, page []byte) driven {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		body := []byte(driver)
		if r.URL.Path == "/report" {
			body = page
		}
		_, _ = w.Write(body) // a browser that hangs up shows in what it prints
	}))
	defer server.Close()
	var dom, messages bytes.Buffer
	cmd := exec.CommandContext(t.Context(), browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
		"--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--disable-dev-shm-usage", "--enable-logging=stderr", "--user-data-dir="+t.TempDir(), "--dump-dom", server.URL)
	cmd.Stdout, cmd.Stderr = &dom, &messages
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", browser, err, messages.Bytes())
	}
	for line := range strings.Lines(messages.String()) {
		if strings.Contains(line, "CONSOLE") {
			t.Errorf("the page logs: %s", line)
		}
	}
	m := regexp.MustCompile(`<html data-log="([^"]*)"`).FindSubmatch(dom.Bytes())
	if m == nil {
		t.Fatalf("the page was not driven to the end:\n%s\n%s", messages.Bytes(), dom.Bytes())
	}
	var got driven
	if err := json.Unmarshal([]byte(html.UnescapeString(string(m[1]))), &got); err != nil {
		t.Fatal(fmt.Errorf("what the driver wrote: %w", err))
	}
	return got
}

// chromium is the path of a browser that speaks its command line, or "".
func chromium() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}
