package proc

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Containment says how children are kept from outliving the harness. Its text is what reports show.
type Containment string

// The containments, from strong to weak.
const (
	// PidNamespace makes each child the first process of a pid namespace of its own (pid_namespaces(7)). The parent-death
	// signal kills it when the harness dies, and the kernel then kills all that is below it, whatever session it is in.
	PidNamespace Containment = "pidns"
	// UserNamespace is the same for an ordinary user, inside a user namespace with identity mappings (user_namespaces(7)).
	UserNamespace Containment = "userns+pidns"
	// ProcessGroup is a process group with a parent-death signal; orphans come back to the harness, which is their
	// subreaper. When the harness itself is killed, what left the group and its parent lives until the next sweep.
	ProcessGroup Containment = "pgroup"
)

// Containments lists the containments that work here, strongest first. ProcessGroup always does.
func Containments() []Containment {
	var works []Containment
	for _, c := range []Containment{PidNamespace, UserNamespace} {
		if probes[c]() {
			works = append(works, c)
		}
	}
	return append(works, ProcessGroup)
}

var probes = map[Containment]func() bool{
	PidNamespace:  sync.OnceValue(func() bool { return probe(PidNamespace) }),
	UserNamespace: sync.OnceValue(func() bool { return probe(UserNamespace) }),
}

// probe starts a shell under the containment and asks it for its pid: the kernel's word, not its configuration's.
func probe(c Containment) bool {
	attr, err := c.attributes(nil)
	if err != nil {
		return false
	}
	attr.Pdeathsig = 0 // this may run on a thread that ends
	cmd := exec.Command(shell, "-c", "echo $$")
	cmd.SysProcAttr = attr
	out, err := cmd.Output()
	return err == nil && strings.TrimSpace(string(out)) == "1"
}

// namespaced says whether a child is alone in a pid namespace with all it starts.
func (c Containment) namespaced() bool { return c == PidNamespace || c == UserNamespace }

// attributes are how the kernel is asked for the containment. The new IPC namespace takes System V segments, of which
// PostgreSQL makes one, with it when the child is killed.
func (c Containment) attributes(cred *syscall.Credential) (*syscall.SysProcAttr, error) {
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Credential: cred}
	switch c {
	case PidNamespace:
		attr.Cloneflags = unix.CLONE_NEWPID | unix.CLONE_NEWIPC
	case UserNamespace:
		attr.Cloneflags = unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWIPC
		return attr, mapIdentity(attr)
	}
	return attr, nil
}

// mapIdentity maps every id onto itself, as far as the kernel lets this user: root all that it has, others themselves.
func mapIdentity(attr *syscall.SysProcAttr) error {
	if os.Geteuid() != 0 {
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getuid(), HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}}
		return nil
	}
	uids, err1 := idRanges("/proc/self/uid_map")
	gids, err2 := idRanges("/proc/self/gid_map")
	attr.UidMappings, attr.GidMappings, attr.GidMappingsEnableSetgroups = uids, gids, true
	return errors.Join(err1, err2)
}

// idRanges reads the ids that exist in this user namespace.
func idRanges(path string) ([]syscall.SysProcIDMap, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	var ranges []syscall.SysProcIDMap
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) != 3 {
			continue
		}
		first, err1 := strconv.Atoi(fields[0])
		size, err2 := strconv.Atoi(fields[2])
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		ranges = append(ranges, syscall.SysProcIDMap{ContainerID: first, HostID: first, Size: size})
	}
	return ranges, lines.Err()
}
