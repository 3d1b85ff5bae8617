package chaos

import "context"

// Kill ends a process with SIGKILL: no goodbye, no flush. Healing starts it again.
type Kill struct {
	Process string `json:"process"`
}

var _ Fault = (*Kill)(nil)

// Kind is "kill".
func (*Kill) Kind() string { return "kill" }

func (f *Kill) String() string { return "kill " + f.Process }

// Validate wants the name of a process.
func (f *Kill) Validate() error { return checkProcessName(f.Process) }

// Available wants a process of that name.
func (f *Kill) Available(s Surface) error {
	_, err := processesOf(s, f.Process)
	return err
}

// Inject proves itself by the process being gone.
func (f *Kill) Inject(ctx context.Context, s Surface) (Injection, error) {
	return injectProcesses(ctx, s, processFault{
		fault: f, process: f.Process, act: Process.Kill, undo: Process.Start, during: Gone,
	})
}
