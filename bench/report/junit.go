package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"shakedown/bench"
	"shakedown/bench/verdict"
)

// The elements of the JUnit format, as far as a report fills them: the shape that CI servers read
// (the XSD of the Apache Ant JUnit task, with the testsuites element around it).
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Errors   int          `xml:"errors,attr"`
		Time     string       `xml:"time,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name       string          `xml:"name,attr"`
		Tests      int             `xml:"tests,attr"`
		Failures   int             `xml:"failures,attr"`
		Errors     int             `xml:"errors,attr"`
		Skipped    int             `xml:"skipped,attr"`
		Time       string          `xml:"time,attr"`
		Timestamp  string          `xml:"timestamp,attr"`
		Hostname   string          `xml:"hostname,attr"`
		Properties []junitProperty `xml:"properties>property"`
		Cases      []junitCase     `xml:"testcase"`
		Out        string          `xml:"system-out,omitempty"`
		Err        string          `xml:"system-err,omitempty"`
	}
	junitProperty struct {
		Name  string `xml:"name,attr"`
		Value string `xml:"value,attr"`
	}
	junitCase struct {
		Name      string        `xml:"name,attr"`
		Classname string        `xml:"classname,attr"`
		Time      string        `xml:"time,attr"`
		Failure   *junitProblem `xml:"failure"`
		Error     *junitProblem `xml:"error"`
	}
	junitProblem struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",chardata"`
	}
)

// writeJUnit writes one suite for the experiment with one case for each claim: as expected passes, anything else is a
// failure whose type is the finding ("refuted", "undecided", …), and a void run is an error.
func writeJUnit(w io.Writer, in Input, _ Options) error {
	suite := suiteOf(in.Result)
	doc := junitSuites{
		Tests: suite.Tests, Failures: suite.Failures, Errors: suite.Errors, Time: suite.Time, Suites: []junitSuite{suite},
	}
	body, err := xml.MarshalIndent(doc, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding: %w", err)
	}
	_, err = io.WriteString(w, xml.Header+string(body)+"\n")
	return err
}

func suiteOf(r verdict.Result) junitSuite {
	run := r.Run
	s := junitSuite{
		Name: run.Experiment.Name, Timestamp: run.Started.UTC().Format("2006-01-02T15:04:05"), Hostname: "localhost", Time: "0.000",
		Properties: []junitProperty{
			{"seed", decimal(run.Seed)},
			{"repeats", decimal(uint64(max(run.Repeats, 0)))},
			{"command", shell(run.Command)},
			{"version", versionLine(run)},
			{"host", hostLine(run.Host)},
		},
		Err: strings.Join(r.Findings, "\n"),
	}
	if took(run) != "" {
		s.Time = fmt.Sprintf("%.3f", run.Finished.Sub(run.Started).Seconds())
	}
	for _, c := range r.Claims {
		s.add(caseOf(r, c))
	}
	if len(r.Claims) == 0 && headline(r) != "" {
		// Without a case an unusable run would read as a green suite.
		s.add(junitCase{Name: orElse(run.Experiment.Question, run.Experiment.Name), Classname: run.Experiment.Name, Time: "0", Error: unusable(r)})
	}
	return s
}

func (s *junitSuite) add(c junitCase) {
	s.Cases = append(s.Cases, c)
	s.Tests++
	switch {
	case c.Error != nil:
		s.Errors++
	case c.Failure != nil:
		s.Failures++
	}
}

func caseOf(r verdict.Result, c verdict.Claim) junitCase {
	out := junitCase{Name: c.ID + ": " + c.Text, Classname: r.Run.Experiment.Name, Time: "0"}
	switch {
	case r.Void:
		out.Error = unusable(r)
	case !c.AsExpected:
		out.Failure = &junitProblem{Message: outcome(c) + ": " + c.Reason, Type: c.Finding.String(), Text: evidence(c)}
	}
	return out
}

// unusable is why nothing can be concluded.
func unusable(r verdict.Result) *junitProblem {
	kind := "void"
	if !r.Void {
		kind = string(r.Status)
	}
	return &junitProblem{Message: headline(r), Type: kind, Text: strings.Join(voidReasons(r), "\n")}
}

// evidence is each check of the claim on a line, with its figures.
func evidence(c verdict.Claim) string {
	lines := make([]string, 0, len(c.Checks))
	for _, k := range c.Checks {
		lines = append(lines, fmt.Sprintf("%s %s (%s): %s", checkMark(k), k.Text, bound(k), checkReason(k)))
	}
	if c.Finding == bench.Undecided && len(lines) == 0 {
		return "no check decides this claim"
	}
	return strings.Join(lines, "\n")
}
