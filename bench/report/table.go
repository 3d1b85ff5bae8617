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

// grids are the tables of the result, one for each level, in the order of its cells. A column has one unit throughout; one
// without any value at a level is left out there.
func grids(r verdict.Result) []grid {
	scales := columnScales(r)
	var all []grid
	for _, name := range levelNames(r) {
		g := grid{level: name}
		kept := keptColumns(r, name)
		for _, i := range kept {
			head := r.Run.Experiment.Columns[i].Title
			if u := scales[i].unit; u != "" {
				head += " (" + u + ")"
			}
			g.heads = append(g.heads, head)
		}
		for _, c := range r.Cells {
			if c.Level == name {
				g.rows = append(g.rows, rowOf(r, c, scales, kept))
			}
		}
		all = append(all, g)
	}
	return all
}

func levelNames(r verdict.Result) []string {
	var names []string
	for _, c := range r.Cells {
		if !slices.Contains(names, c.Level) {
			names = append(names, c.Level)
		}
	}
	return names
}

// keptColumns are the columns for which any variant has a value at a level.
func keptColumns(r verdict.Result, level string) []int {
	var kept []int
	for i := range r.Run.Experiment.Columns {
		if slices.ContainsFunc(r.Cells, func(c verdict.Cell) bool {
			return c.Level == level && i < len(c.Values) && !c.Values[i].Missing
		}) {
			kept = append(kept, i)
		}
	}
	return kept
}

func rowOf(r verdict.Result, c verdict.Cell, scales []scale, kept []int) row {
	out := row{variant: c.Variant, control: c.Variant == control(r.Run.Experiment)}
	for _, i := range kept {
		figure := "–"
		if i < len(c.Values) {
			figure = scales[i].figure(c.Values[i])
		}
		out.figures = append(out.figures, figure)
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

// table writes the variants with their figures. Columns that do not fit side by side go below each other.
func (p *page) table(r verdict.Result) {
	all := grids(r)
	if len(all) == 0 {
		return
	}
	for _, g := range all {
		p.line("")
		if name := level(r.Run.Experiment, g.level); name != "" {
			p.line(p.paint(bold, name))
		}
		for i, part := range g.split(p.width) {
			if i > 0 {
				p.line("")
			}
			p.rows(part, part.widths())
		}
	}
	p.para("", dim, uncertainty(r))
}

// gap is the space between two columns; headWidth is where the heading of a column of narrow figures wraps.
const (
	gap       = 3
	headWidth = 14
)

// widths are those of the name and of each column.
func (g grid) widths() []int {
	widths := make([]int, 1+len(g.heads))
	widths[0] = len("variant")
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
	return widths
}

// split cuts the table into tables that fit the width, each with the names of the variants. Notes stay with the last.
func (g grid) split(width int) []grid {
	widths := g.widths()
	var parts []grid
	from, used := 0, widths[0]
	cut := func(to int) {
		part := grid{level: g.level, heads: g.heads[from:to]}
		for _, r := range g.rows {
			r.figures = r.figures[from:to]
			if to < len(g.heads) {
				r.note = ""
			}
			part.rows = append(part.rows, r)
		}
		parts = append(parts, part)
		from, used = to, widths[0]
	}
	for i, w := range widths[1:] {
		if i > from && used+gap+w > width {
			cut(i)
		}
		used += gap + w
	}
	cut(len(g.heads))
	return parts
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
