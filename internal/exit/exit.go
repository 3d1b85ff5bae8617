// Package exit owns the exit codes of the command line and which error means which. Scripts rely on them.
package exit

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"

	"shakedown/bench/run"
)

// The exit codes.
const (
	OK          = 0  // every verdict as expected
	Unexpected  = 1  // some verdict not as expected
	Input       = 2  // bad input; nothing was started
	Environment = 3  // this machine lacks something
	Void        = 4  // the run may not be judged
	Aborted     = 5  // stopped by the user
	Internal    = 70 // a bug in shakedown, or a fault nobody foresaw
)

// A Status is a way to end that is no error: the verdicts were printed, and were not as expected, say.
type Status int

func (s Status) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// Code is the exit code that an error stands for.
func Code(err error) int {
	var status Status
	var input *run.InputError
	var environment *run.EnvironmentError
	switch {
	case err == nil:
		return OK
	case errors.As(err, &status):
		return int(status)
	case errors.Is(err, run.ErrAborted):
		return Aborted
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT): // whatever was being done: a full disk is no bad input
		return Environment
	case errors.As(err, &input):
		return Input
	case errors.As(err, &environment), errors.Is(err, syscall.EROFS):
		return Environment
	default:
		return Internal
	}
}

// Line is the error in one line. What several clean-ups say alike is said once.
func Line(err error) string {
	var parts []string
	for part := range strings.Lines(err.Error()) {
		if part = strings.TrimSpace(part); part != "" && !slices.Contains(parts, part) {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, "; ")
}

// Silent says whether nothing is left to print: what there was to say has been said.
func Silent(err error) bool {
	var status Status
	return errors.As(err, &status)
}
