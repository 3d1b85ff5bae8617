// Package pagetest tries a page in a browser, where there is one: pages are made of scripts that no other test runs.
package pagetest

import (
	"bytes"
	"encoding/json"
	"html"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// Drive loads a page in a frame of its own origin, at 1200 × 4000 px, and runs the body of a function over it: w is the frame's window, d
// its document, root its root element, and what the body puts into log is decoded into into. It returns false, and says so, where no
// browser is on the PATH. Whatever the page writes to its console is an error.
func Drive(t *testing.T, page []byte, body string, into any) bool {
	t.Helper()
	browser := chromium()
	if browser == "" {
		t.Log("no chromium on the PATH: the page's script was not tested")
		return false
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		answer := []byte(before + body + after)
		if r.URL.Path == "/page" {
			answer = page
		}
		_, _ = w.Write(answer) // a browser that hangs up shows in what it prints
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
	if err := json.Unmarshal([]byte(html.UnescapeString(string(m[1]))), into); err != nil {
		t.Fatalf("what the driver wrote: %v", err)
	}
	return true
}

const (
	before = `<!doctype html><html><body><iframe src="/page" width="1200" height="4000"></iframe><script>
onload = () => {
	const w = frames[0], d = w.document, root = d.documentElement, frame = w.frameElement, log = {};
`
	after = `
	document.documentElement.dataset.log = JSON.stringify(log);
};
</script></body></html>`
)

// chromium is the path of a browser that speaks its command line, or "".
func chromium() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}
