package proc

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"shakedown/internal/proc/procfs"
)

// passGate notes the pid, lets the program begin, and returns once the shell has become it. On an error it has ended the process.
func (p *Process) passGate(ctx context.Context) error {
	err := p.openGate(ctx)
	if err == nil {
		return nil
	}
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), killWait)
	defer cancel()
	return errors.Join(err, p.Kill(clean))
}

func (p *Process) openGate(ctx context.Context) error {
	defer func() { _ = p.gate.Close() }()
	if k := p.keeper; k.journal != nil {
		if err := k.journal.Started(p.intent, p.Pid(), p.startTicks); err != nil {
			return err
		}
	}
	if p.spec.Admit != nil {
		if err := p.spec.Admit(p.Pid()); err != nil {
			return err
		}
	}
	if _, err := p.gate.WriteString("go\n"); err != nil {
		return fmt.Errorf("it ended before it began: %s", p.lastWords())
	}
	for {
		select {
		case <-p.done:
			return p.neverRan()
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(500 * time.Microsecond):
		}
		command, err := procfs.Command(p.Pid())
		if err != nil || command == "" { // it has ended: done is about to be closed
			continue
		}
		if !strings.Contains(command, gateMark) {
			return nil
		}
	}
}

// neverRan tells a shell that could not execute the program, which says so with status 126 or 127 (POSIX, sh),
// from a program that has run, however briefly. The process is done.
func (p *Process) neverRan() error {
	switch code := p.cmd.ProcessState.ExitCode(); code {
	case 125, 126, 127:
		return fmt.Errorf("%s could not be executed: %s", p.spec.Path, p.lastWords())
	}
	return nil
}

// lastWords is the last line of the log, or how the process ended when there is none.
func (p *Process) lastWords() string {
	if lines := p.Tail(1); len(lines) > 0 {
		return lines[0]
	}
	return p.ExitState()
}
