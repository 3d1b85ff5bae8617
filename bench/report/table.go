package report

import (
	"slices"
	"strings"

	"shakedown/bench/verdict"
)

// A row is one cell of the result as text: the variant's name and its figures.
type row struct {
	variant string
	control bool
	figures []string
	note    string // "2 of 3 trials void"
}

// A grid is the table of variants at one level, ready to be set in text or Markdown.
type grid struct {
	level string
	heads []string // with units: "p99 (ms)"
	rows  []row
}

// grids are the tables of the result, one for each level, in the order of its cells. A column has one unit throughout.
func grids(r verdict.Result) []grid {
	scales := columnScales(r)
	heads := make([]string, len(scales))
	for i, c := range r.Run.Experiment.Columns {
		heads[i] = c.Title
		if u := scales[i].unit; u != "" {
			heads[i] += " (" + u + ")"
		}
	}
	var all []grid
	for _, c := range r.Cells {
		at := slices.IndexFunc(all, func(g grid) bool { return g.level == c.Level })
		if at < 0 {
			at = len(all)
			all = append(all, grid{level: c.Level, heads: heads})
		}
		all[at].rows = append(all[at].rows, rowOf(r, c, scales))
	}
	return all
}

func rowOf(r verdict.Result, c verdict.Cell, scales []scale) row {
	out := row{variant: c.Variant, control: c.Variant == control(r.Run.Experiment), figures: make([]string, len(scales))}
	for i, s := range scales {
		out.figures[i] = "–"
		if i < len(c.Values) {
			out.figures[i] = s.figure(c.Values[i])
		}
	}
	if c.Void > 0 {
		out.note = decimal(uint64(c.Void)) + " of " + plural(c.Valid+c.Void, "trial") + " void"
	}
	return out
}

// columnScales is the unit of each column, fit to its values over all variants and levels.
func columnScales(r verdict.Result) []scale {
	scales := make([]scale, len(r.Run.Experiment.Columns))
	for i, c := range r.Run.Experiment.Columns {
		var es []verdict.Estimate
		for _, cell := range r.Cells {
			if i < len(cell.Values) {
				es = append(es, cell.Values[i])
			}
		}
		scales[i] = scaleOf(unitOf(c.Unit, c.Of), es...)
	}
	return scales
}

// table writes the variants with their figures. Where the columns do not fit, each variant gets a block of lines.
func (p *page) table(r verdict.Result) {
	all := grids(r)
	if len(all) == 0 {
		return
	}
	widths := gridWidths(all)
	total := -gap
	for _, w := range widths {
		total += w + gap
	}
	for _, g := range all {
		p.line("")
		if name := level(r.Run.Experiment, g.level); name != "" {
			p.line(p.paint(bold, name))
		}
		if total > p.width {
			p.blocks(g)
		} else {
			p.rows(g, widths)
		}
	}
	p.para("", dim, uncertainty(r))
}

// gap is the space between two columns; headWidth is where the heading of a column of narrow figures wraps.
const (
	gap       = 3
	headWidth = 14
)

func gridWidths(all []grid) []int {
	widths := make([]int, 1+len(all[0].heads))
	widths[0] = len("variant")
	for _, g := range all {
		for i, h := range g.heads {
			for _, l := range wrap(h, headWidth) {
				widths[i+1] = max(widths[i+1], columns(l))
			}
		}
		for _, r := range g.rows {
			widths[0] = max(widths[0], columns(r.name()))
			for i, f := range r.figures {
				widths[i+1] = max(widths[i+1], columns(f))
			}
		}
	}
	return widths
}

// marked says whether to mark the row as the control; one that is called so needs no mark.
func (r row) marked() bool { return r.control && !strings.Contains(r.variant, "control") }

// name is the variant, with a mark on the control.
func (r row) name() string {
	if r.marked() {
		return r.variant + " (control)"
	}
	return r.variant
}

func (p *page) rows(g grid, widths []int) {
	line := func(first string, cells []string) string {
		text := pad(first, widths[0], false)
		for i, c := range cells {
			text += strings.Repeat(" ", gap) + pad(c, widths[i+1], true)
		}
		return text
	}
	for _, l := range headLines(g.heads, widths[1:]) {
		p.line(p.paint(dim, line(l.first, l.cells)))
	}
	for _, r := range g.rows {
		p.line(line(r.name(), r.figures))
		if r.note != "" {
			p.line(p.paint(yellow, "  "+r.note))
		}
	}
}

// A headLine is one line of the headings.
type headLine struct {
	first string
	cells []string
}

// headLines are the headings wrapped to the width of their columns, and flush at the bottom.
func headLines(heads []string, widths []int) []headLine {
	wrapped := make([][]string, len(heads))
	most := 1
	for i, h := range heads {
		wrapped[i] = wrap(h, max(widths[i], headWidth))
		most = max(most, len(wrapped[i]))
	}
	lines := make([]headLine, most)
	lines[most-1].first = "variant"
	for n := range lines {
		lines[n].cells = make([]string, len(heads))
		for i, w := range wrapped {
			if at := n - (most - len(w)); at >= 0 {
				lines[n].cells[i] = w[at]
			}
		}
	}
	return lines
}

func (p *page) blocks(g grid) {
	most := 0
	for _, h := range g.heads {
		most = max(most, columns(h))
	}
	for _, r := range g.rows {
		p.para("", bold, r.name())
		for i, f := range r.figures {
			p.line("  " + p.paint(dim, pad(g.heads[i], most, false)) + "  " + f)
		}
		if r.note != "" {
			p.line(p.paint(yellow, "  "+r.note))
		}
	}
}
