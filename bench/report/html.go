package report

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"strings"
)

//go:embed assets
var assets embed.FS

// The parts of the page. uPlot is vendored under its own licence, which lies beside it.
var (
	pageTemplate = template.Must(template.ParseFS(assets, "assets/page.html.tmpl"))
	pageStyle    = asset("uplot/uPlot.min.css") + asset("page.css")
	pageScript   = asset("uplot/uPlot.iife.min.js") + asset("charts.js") + asset("page.js")
)

func asset(name string) string {
	body, err := assets.ReadFile("assets/" + name)
	if err != nil {
		panic("report: " + err.Error()) // the program was built without its own files
	}
	return strings.TrimSpace(string(body)) + "\n"
}

// writeHTML writes one page that needs nothing but itself: its policy forbids every request, and every script and
// style but its own.
func writeHTML(w io.Writer, in Input, _ Options) error {
	v := viewOf(in)
	raw, err := json.Marshal(v.charts)
	if err != nil {
		return fmt.Errorf("encoding the charts: %w", err)
	}
	// The three are our own files or the output of json.Marshal, which escapes <, > and &.
	v.Data, v.Script, v.Style = template.JS(raw), template.JS(pageScript), template.CSS(pageStyle)
	v.Policy = "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; style-src " + hash(pageStyle) +
		"; script-src " + hash(pageScript)
	return pageTemplate.Execute(w, v)
}

// hash is the source expression that allows exactly this script or style (Content Security Policy Level 3, 2.3.1).
func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
