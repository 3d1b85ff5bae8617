package disk

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"shakedown/internal/roottest"
)

// serveEnv makes this test binary the process of a disk in the folder that it names.
const serveEnv = "SHAKEDOWN_DISKTEST_SERVE"

func TestMain(m *testing.M) {
	if base := os.Getenv(serveEnv); base != "" {
		conn, err := Inherited(os.NewFile(3, "control"))
		if err == nil {
			err = Serve(context.Background(), base, conn)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// rig is a real mount with the process that serves it.
type rig struct {
	*Disk
	base, mnt string
	cmd       *exec.Cmd
}

// newRig mounts a disk, or skips the test where that is not possible, which it is for root.
func newRig(t *testing.T) *rig {
	t.Helper()
	roottest.Needs(t, Available())
	r := &rig{base: t.TempDir(), mnt: t.TempDir()}
	conn := r.serve(t)
	var err error
	if r.Disk, err = New(t.Context(), "test", r.mnt, conn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("closing: %v", err)
		}
		if there, err := mountedAt(r.mnt); err != nil || there {
			t.Errorf("a mount is left: %v, %v", there, err)
		}
	})
	return r
}

// serve starts the process.
func (r *rig) serve(t *testing.T) *net.UnixConn {
	t.Helper()
	harness, process, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r.cmd = exec.Command(self)
	r.cmd.Env = append(os.Environ(), serveEnv+"="+r.base)
	r.cmd.ExtraFiles = []*os.File{process}
	stderr, err := r.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = process.Close()
	t.Cleanup(func() { // after the connection is closed
		said, _ := io.ReadAll(stderr)
		_ = r.cmd.Wait()
		if len(said) > 0 {
			t.Errorf("the process said %s", said)
		}
	})
	return harness
}

// path is a path on the mount.
func (r *rig) path(name string) string { return filepath.Join(r.mnt, name) }

// contextSoon is a context that ends soon: for what must not come to an end by itself.
func contextSoon(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), 50*time.Millisecond)
}
