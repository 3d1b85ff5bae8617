package report

import (
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"strings"

	shared "shakedown/internal/page"
)

//go:embed assets
var assets embed.FS

// The parts of the page.
var (
	pageTemplate = template.Must(template.ParseFS(assets, "assets/page.html.tmpl"))
	pageStyle    = shared.Style()
	pageScript   = shared.Script() + asset("charts.js") + asset("page.js")
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
	v.Policy = shared.Policy(pageStyle, pageScript)
	return pageTemplate.Execute(w, v)
}
