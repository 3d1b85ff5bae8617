package exit

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"shakedown/bench/run"
)

func TestEveryErrorHasItsCode(t *testing.T) {
	broken := errors.New("broken")
	input, environment := &run.InputError{Err: broken}, &run.EnvironmentError{Err: broken}
	for _, tc := range []struct {
		name string
		err  error
		want int
	}{
		{"none", nil, 0},
		{"verdicts not as expected", Status(Unexpected), 1},
		{"bad input", input, 2},
		{"bad input, deep down", fmt.Errorf("trial 3: %w", input), 2},
		{"the machine lacks something", environment, 3},
		{"void", Status(Void), 4},
		{"aborted", fmt.Errorf("%w: signal", run.ErrAborted), 5},
		{"aborted, and the clean-up met something else", errors.Join(run.ErrAborted, environment, broken), 5},
		{"full disk", fmt.Errorf("writing: %w", syscall.ENOSPC), 3},
		{"full disk, wherever it was met", &run.InputError{Err: syscall.ENOSPC}, 3},
		{"quota used up", syscall.EDQUOT, 3},
		{"disk that may only be read", syscall.EROFS, 3},
		{"anything else", broken, 70},
	} {
		if got := Code(tc.err); got != tc.want {
			t.Errorf("%s: %d, want %d", tc.name, got, tc.want)
		}
	}
}

func TestAnErrorIsOneLine(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want string
	}{
		{errors.New("plain"), "plain"},
		{errors.Join(errors.New("first"), errors.New("second")), "first; second"},
		{errors.Join(errors.New("same"), errors.New("same"), errors.New("other")), "same; other"},
		{fmt.Errorf("head:\n\n\t%s\r\nend", "indented"), "head:; indented; end"},
	} {
		if got := Line(tc.err); got != tc.want {
			t.Errorf("%q: %q, want %q", tc.err, got, tc.want)
		}
	}
}

func TestOnlyAStatusIsSilent(t *testing.T) {
	if !Silent(Status(Void)) || !Silent(fmt.Errorf("x: %w", Status(Unexpected))) {
		t.Error("a status has been said in full already")
	}
	if Silent(errors.New("broken")) || Silent(run.ErrAborted) {
		t.Error("an error must be printed")
	}
}
