// Package report owns what a person, a pull request or a CI server reads of a run: terminal text, one self-contained
// HTML page, JSON, JUnit XML and Markdown. It must never know a server, a file of the run directory or how a verdict
// was reached: it writes what verdict.Result says to an io.Writer, and asks the recording only for what charts draw.
// The commands run and report call it, with a fresh and a stored result alike.
package report
