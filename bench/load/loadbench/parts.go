package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"shakedown/bench/load/loadbench/queueing"
	"shakedown/bench/load/loadbench/server"
	"shakedown/internal/favour"
)

// parts are the processes of the benchmark that are this program too. Each writes a line when it is ready, and ends with the benchmark.
var parts = map[string]func(args []string) error{"serve": serveMain, "burn": burnMain, "sleeper": sleeperMain}

// serveMain is one of the benchmark's own servers; its first line is where it listens.
func serveMain(args []string) error {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	servers := flags.Int("servers", 1, "of a queue")
	mean := flags.Duration("mean", 0, "service time of a queue")
	fixed := flags.Bool("fixed", false, "every service takes the mean")
	if len(args) == 0 {
		return errors.New("serve: freeze, queue or silent")
	}
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	favour.Threads()       // what it states and answers is to be the queue's doing, not the machine's
	debug.SetGCPercent(-1) // a pause would be in the times; there is memory enough for a run
	var behaviour server.Behaviour
	switch args[0] {
	case "freeze":
		behaviour = freezes
	case "queue":
		q := queueing.Queue{Servers: *servers, MeanS: mean.Seconds(), Fixed: *fixed}
		behaviour = server.Queue{Station: queueing.NewStation(q, serviceSeed)}
	case "silent":
		files()
		behaviour = server.Silent{}
	default:
		return fmt.Errorf("serve: there is no server %q", args[0])
	}
	s, err := server.New(behaviour, args[0] != "silent")
	if err != nil {
		return err
	}
	defer s.Close()
	fmt.Println(s.Addr())
	end := make(chan os.Signal, 1)
	signal.Notify(end, os.Interrupt, unix.SIGTERM)
	<-end
	return nil
}

// holeFiles are the descriptors of the largest black hole.
const holeFiles = 100_000

// files lets this process have as many connections as the black hole swallows, or as many as the machine allows, and says how many.
func files() uint64 {
	limit := unix.Rlimit{Cur: holeFiles, Max: holeFiles}
	if unix.Setrlimit(unix.RLIMIT_NOFILE, &limit) == nil { // CAP_SYS_RESOURCE may
		return holeFiles
	}
	_ = unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) // cannot fail
	return limit.Cur                               // Go has raised it to the most that an ordinary process may have
}

// burned is how far burnMain has counted.
var burned atomic.Uint64

// burnMain keeps the core that it was put on busy, at the priority of an ordinary process.
func burnMain([]string) error {
	fmt.Println("burning")
	for n := uint64(0); ; n++ {
		burned.Store(n)
	}
}
