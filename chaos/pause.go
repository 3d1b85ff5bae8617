package chaos

import "context"

// Pause stops a process with SIGSTOP: its connections stay open and nothing answers. Healing continues it.
type Pause struct {
	Process string `json:"process"`
}

var _ Fault = (*Pause)(nil)

// Kind is "pause".
func (*Pause) Kind() string { return "pause" }

func (f *Pause) String() string { return "pause " + f.Process }

// Validate wants the name of a process.
func (f *Pause) Validate() error { return checkProcessName(f.Process) }

// Available wants a process of that name.
func (f *Pause) Available(s Surface) error {
	_, err := processesOf(s, f.Process)
	return err
}

// Inject proves itself by the kernel showing the process stopped.
func (f *Pause) Inject(ctx context.Context, s Surface) (Injection, error) {
	return injectProcesses(ctx, s, processFault{
		fault: f, process: f.Process, act: Process.Pause, undo: Process.Resume, during: Stopped,
	})
}
