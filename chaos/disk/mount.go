package disk

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// fsName is the type of the mounts, "fuse.shakedown", by which they are told from all others.
const fsName = "shakedown"

const device = "/dev/fuse"

// UndoKind is the name by which a run's journal asks for Unmount.
const UndoKind = "unmount"

// Available says why this machine cannot mount: /dev/fuse is missing, or the user is neither root nor has fusermount3.
func Available() error {
	f, err := os.OpenFile(device, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("no disk of its own: %s cannot be opened: %w; load the kernel's module fuse, or give the container the device", device, bare(err))
	}
	_ = f.Close()
	if os.Geteuid() == 0 {
		return nil
	}
	if _, err := fusermount(); err != nil {
		return errors.New("no disk of its own: mounting needs root, or fusermount3 (Debian/Ubuntu: apt-get install fuse3)")
	}
	return nil
}

func bare(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

func fusermount() (string, error) { return exec.LookPath("fusermount3") }

// mount mounts a file system without a server yet, and returns the descriptor that its server needs. Whatever looks at the mount
// waits until it is served; when the last copy of the descriptor is closed, it fails.
func mount(dir string) (*os.File, error) {
	if os.Geteuid() != 0 {
		return mountAsUser(dir)
	}
	f, err := os.OpenFile(device, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	options := fmt.Sprintf("fd=%d,rootmode=%o,user_id=0,group_id=0,allow_other,default_permissions", f.Fd(), unix.S_IFDIR)
	if err := unix.Mount(fsName, dir, "fuse."+fsName, unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("mounting %s: %w", dir, err)
	}
	return f, nil
}

// mountAsUser lets fusermount3, which may mount, do it and send the descriptor back (fusermount3(1), _FUSE_COMMFD).
func mountAsUser(dir string) (*os.File, error) {
	program, err := fusermount()
	if err != nil {
		return nil, err
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	theirs := os.NewFile(uintptr(fds[1]), "fusermount")
	ours, err := Inherited(os.NewFile(uintptr(fds[0]), "fusermount"))
	if err != nil {
		_ = theirs.Close()
		return nil, err
	}
	defer func() { _ = ours.Close() }()
	cmd := exec.Command(program, "-o", "default_permissions,subtype="+fsName+",fsname="+fsName, "--", dir)
	cmd.Env = append(os.Environ(), "_FUSE_COMMFD=3")
	cmd.ExtraFiles = []*os.File{theirs}
	out, err := cmd.CombinedOutput()
	_ = theirs.Close()
	if err != nil {
		return nil, fmt.Errorf("mounting %s: %w: %s", dir, err, strings.TrimSpace(string(out)))
	}
	buf, oob := make([]byte, 4), make([]byte, syscall.CmsgSpace(4))
	_, oobn, _, _, err := ours.ReadMsgUnix(buf, oob)
	if err != nil {
		return nil, fmt.Errorf("mounting %s: fusermount3 sent no descriptor: %w", dir, err)
	}
	fd, err := descriptor(oob[:oobn])
	if err != nil || fd < 0 {
		return nil, errors.Join(fmt.Errorf("mounting %s: fusermount3 sent no descriptor", dir), err)
	}
	return os.NewFile(uintptr(fd), device), nil
}

// unmount takes a mount away, in order: what was changed through mappings is written first. A process that still has a file open on
// it is an error, when it does not end before ctx does.
func unmount(ctx context.Context, dir string) error {
	for {
		err := unmountNow(dir, false)
		if err == nil || !errors.Is(err, unix.EBUSY) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("unmounting %s: somebody still uses it: %w", dir, context.Cause(ctx))
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// unmountNow tries once; lazily, a mount in use goes too, and is gone with its last user (umount2(2), MNT_DETACH).
func unmountNow(dir string, lazily bool) error {
	if os.Geteuid() == 0 {
		flags := unix.UMOUNT_NOFOLLOW
		if lazily {
			flags |= unix.MNT_DETACH
		}
		if err := unix.Unmount(dir, flags); err != nil {
			return fmt.Errorf("unmounting %s: %w", dir, err)
		}
		return nil
	}
	program, err := fusermount()
	if err != nil {
		return err
	}
	args := []string{"-u", "--", dir}
	if lazily {
		args = append([]string{"-z"}, args...)
	}
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		if strings.Contains(string(out), "busy") {
			err = unix.EBUSY
		}
		return fmt.Errorf("unmounting %s: %w: %s", dir, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// Unmount takes away what a dead run has mounted at a path, if it is there. It touches no mount but those of this package.
func Unmount(ctx context.Context, args []string) error {
	if len(args) != 1 || !filepath.IsAbs(args[0]) {
		return fmt.Errorf("unmounting %q: want one absolute path", args)
	}
	for {
		there, err := mountedAt(args[0])
		if err != nil || !there {
			return err
		}
		if err := unmountNow(args[0], true); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// mountedAt says whether a mount of this package is at the path (proc_pid_mountinfo(5): the fifth field is the place, and the type
// follows a lone dash).
func mountedAt(dir string) (bool, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 7 || unescape(fields[4]) != dir {
			continue
		}
		for i, field := range fields[:len(fields)-1] {
			if field == "-" && fields[i+1] == "fuse."+fsName {
				return true, nil
			}
		}
	}
	return false, lines.Err()
}

var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace
