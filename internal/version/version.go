// Package version knows which shakedown this is.
package version

import (
	"fmt"
	"runtime/debug"
)

// Number is the release, as in CHANGELOG.md.
const Number = "0.1.0"

// commit is set by the Makefile through the linker; go build's own stamp stands in for it.
var commit string

// Commit is the revision that the program was built from, or nothing when that is not known.
func Commit() string {
	if commit != "" {
		return commit
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return ""
}

// String is the version in one line.
func String() string {
	if c := Commit(); c != "" {
		return fmt.Sprintf("shakedown %s (%.12s)", Number, c)
	}
	return "shakedown " + Number
}
