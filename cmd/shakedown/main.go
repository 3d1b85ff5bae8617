// Command shakedown turns claims about backend patterns into experiments on real servers.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"shakedown/bench/run"
	"shakedown/internal/exit"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	go func() {
		<-ctx.Done()
		stop() // a second Ctrl-C ends the program at once; what it started ends with it
	}()
	os.Exit(execute(ctx))
}

func execute(ctx context.Context) (code int) {
	root, started := newRoot()
	err := root.ExecuteContext(ctx)
	if err != nil && !*started {
		err = &run.InputError{Err: err} // cobra found it: an unknown command, flag or argument
	}
	if err != nil && !exit.Silent(err) {
		fmt.Fprintln(os.Stderr, "shakedown:", exit.Line(err))
	}
	return exit.Code(err)
}
