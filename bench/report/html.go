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
	style, script := shared.Style(), shared.Script()+asset("charts.js")+asset("page.js")
	// The three are our own files or the output of json.Marshal, which escapes <, > and &.
	v.Data, v.Script, v.Style = template.JS(raw), template.JS(script), template.CSS(style)
	v.Policy = shared.Policy(style, script)
	return template.Must(template.ParseFS(assets, "assets/page.html.tmpl")).Execute(w, v)
}
