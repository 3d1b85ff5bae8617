package report

import (
	"fmt"
	"io"
	"strings"

	"shakedown/bench"
	"shakedown/bench/verdict"
)

// markdown makes text safe in a line or a table cell of GitHub-flavoured Markdown: nothing in it is mark-up.
var markdown = strings.NewReplacer(
	`\`, `\\`, "|", `\|`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "<", "&lt;", ">", "&gt;", "&", "&amp;",
	"~", `\~`, "\r\n", " ", "\n", " ",
	// GitHub links "owner/repo#1" and "@name" in rendered text, which a backslash does not stop; an empty comment does.
	"#", "#<!-- -->", "@", "@<!-- -->",
)

// findingSigns are the findings as they show in a pull request.
var findingSigns = map[bench.Finding]string{
	bench.Undecided: "❔", bench.Confirmed: "✔️", bench.Refuted: "✖️", bench.DependsOn: "〰️",
}

func writeMarkdown(w io.Writer, in Input, _ Options) error {
	r := in.Result
	var b strings.Builder
	fmt.Fprintf(&b, "### %s\n\n", markdown.Replace(orElse(r.Run.Experiment.Question, r.Run.Experiment.Name)))
	if state := headline(r); state != "" {
		fmt.Fprintf(&b, "> [!CAUTION]\n> %s\n\n", markdown.Replace(strings.ToUpper(state[:1])+state[1:]+"."))
	}
	markdownClaims(&b, r)
	markdownTables(&b, r)
	markdownSweeps(&b, r)
	markdownList(&b, voidHeading(r), voidReasons(r), true)
	markdownList(&b, "What the audits found", r.Audits, true)
	markdownExamples(&b, r)
	markdownList(&b, "What happened beside the experiment", r.Findings, true)
	markdownChecks(&b, r)
	fmt.Fprintf(&b, "<sub>%s · %s</sub>\n", markdown.Replace(runLine(r)), markdown.Replace(versionLine(r.Run)))
	if len(r.Run.Command) > 0 {
		command := shell(r.Run.Command)
		fence := fenceFor(command)
		fmt.Fprintf(&b, "\n%ssh\n%s\n%s\n", fence, command, fence)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// fenceFor is a run of backticks longer than any in the text (CommonMark 0.31, section 4.5).
func fenceFor(text string) string {
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	return fence
}

func markdownClaims(b *strings.Builder, r verdict.Result) {
	if len(r.Claims) == 0 {
		return
	}
	b.WriteString("| | claim | finding | why |\n|---|---|---|---|\n")
	for _, c := range r.Claims {
		found := markdown.Replace(outcome(c))
		if !c.AsExpected {
			found = "**" + found + "**"
		}
		fmt.Fprintf(b, "| %s | **%s** %s | %s | %s |\n",
			findingSigns[c.Finding], markdown.Replace(c.ID), markdown.Replace(c.Text), found, markdown.Replace(c.Reason))
	}
	b.WriteByte('\n')
}

func markdownTables(b *strings.Builder, r verdict.Result) {
	all := grids(r)
	for _, g := range all {
		if name := level(r.Run.Experiment, g.level); name != "" {
			fmt.Fprintf(b, "**%s**\n\n", markdown.Replace(name))
		}
		b.WriteString("| variant |")
		for _, h := range g.heads {
			fmt.Fprintf(b, " %s |", markdown.Replace(h))
		}
		b.WriteString("\n|---|" + strings.Repeat("---:|", len(g.heads)) + "\n")
		for _, row := range g.rows {
			name := markdown.Replace(row.name())
			if row.note != "" {
				name += " <sub>" + markdown.Replace(row.note) + "</sub>"
			}
			fmt.Fprintf(b, "| %s |", name)
			for _, f := range row.figures {
				fmt.Fprintf(b, " %s |", markdown.Replace(f))
			}
			b.WriteByte('\n')
		}
		b.WriteByte('\n')
	}
	if len(all) > 0 {
		fmt.Fprintf(b, "<sub>%s</sub>\n\n", markdown.Replace(uncertainty(r)))
	}
}

func markdownSweeps(b *strings.Builder, r verdict.Result) {
	for _, s := range r.Sweeps {
		where := s.Title
		if name := level(r.Run.Experiment, s.Level); name != "" {
			where += ", " + name
		}
		fmt.Fprintf(b, "- %s: **%s**\n", markdown.Replace(where), markdown.Replace(sweepLine(s)))
	}
	if len(r.Sweeps) > 0 {
		b.WriteByte('\n')
	}
}

func markdownList(b *strings.Builder, heading string, list []string, open bool) {
	if len(list) == 0 {
		return
	}
	attr := ""
	if open {
		attr = " open"
	}
	fmt.Fprintf(b, "<details%s><summary>%s</summary>\n\n", attr, heading)
	for _, text := range list {
		fmt.Fprintf(b, "- %s\n", markdown.Replace(text))
	}
	b.WriteString("\n</details>\n\n")
}

// markdownChecks folds away every check with its figures.
func markdownChecks(b *strings.Builder, r verdict.Result) {
	var list []string
	for _, c := range r.Claims {
		for _, k := range c.Checks {
			list = append(list, fmt.Sprintf("%s %s, %s (%s): %s", checkMark(k), c.ID, k.Text, bound(k), checkReason(k)))
		}
	}
	markdownList(b, plural(len(list), "check"), list, false)
}
