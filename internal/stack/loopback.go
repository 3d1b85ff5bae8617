package stack

import (
	"shakedown/chaos"
	"shakedown/chaos/disk"
)

// loopbackServer is what servers on loopback ports have in common, whatever they speak.
type loopbackServer struct {
	name, version, source string
	settings              map[string]string
	ports                 []int
	own                   *own // nil when attached
}

// Name is the server's name.
func (s *loopbackServer) Name() string { return s.name }

// Version is the server's version.
func (s *loopbackServer) Version() string { return s.version }

// Source is where the server comes from.
func (s *loopbackServer) Source() string { return s.source }

// Settings are those that were asked for.
func (s *loopbackServer) Settings() map[string]string { return s.settings }

// HostAddr is empty: it is on no host of its own.
func (*loopbackServer) HostAddr() string { return "" }

// Process is the server's process.
func (s *loopbackServer) Process() chaos.Process {
	if s.own == nil {
		return foreign(s.name)
	}
	return s.own
}

// Disk is the disk that its data is on.
func (s *loopbackServer) Disk() *disk.Disk { return s.own.ownDisk() }

// Crashed says whether the run's own server died by itself.
func (s *loopbackServer) Crashed() error {
	if s.own == nil {
		return nil
	}
	return s.own.crashed()
}

// Ours is nil for a server of the run.
func (s *loopbackServer) Ours() error { return ours(s.own) }
