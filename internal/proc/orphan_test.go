package proc

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"shakedown/internal/workdir"
)

const (
	fakeHarnessEnv = "FAKE_HARNESS_CONTAINMENT"
	fakeCacheEnv   = "FAKE_HARNESS_CACHE"
)

// fakeHarness starts children, each with a grandchild in a session of its own, until it is killed.
func fakeHarness() error {
	root, err := workdir.OpenAt(os.Getenv(fakeCacheEnv))
	if err != nil {
		return err
	}
	run, err := root.NewRun(workdir.NewID())
	if err != nil {
		return err
	}
	k := NewKeeperWith(run.Journal(), Containment(os.Getenv(fakeHarnessEnv)))
	for i := range 4 {
		_, err := k.Start(context.Background(), sh(fmt.Sprintf("child-%d", i), "setsid sleep 1000 & exec sleep 1000"))
		if err != nil {
			return err
		}
		fmt.Println("started")
	}
	select {}
}

// TestKillingTheHarnessLeavesNothing is the promise that the package exists for. The harness is killed at random moments,
// from before its first child is forked until all stand.
func TestKillingTheHarnessLeavesNothing(t *testing.T) {
	const kills = 24
	for _, c := range Containments() {
		t.Run(string(c), func(t *testing.T) {
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			rng := rand.New(rand.NewPCG(seed, 0))
			root := openCache(t)
			for range kills {
				unique := uniqueEnv(t)
				killHarness(t, c, root, unique, rng)
				if c == ProcessGroup {
					// A session leader that lost its parent is out of the kernel's reach here; the next start sweeps it.
					sweep(t, root)
				}
				eventually(t, "the end of everything the harness started", func() bool { return countMarked(unique) == 0 })
				sweep(t, root)
			}
			if left, err := os.ReadDir(root.Dir() + "/work"); err != nil || len(left) != 1 { // the lock
				t.Errorf("left in the work folder: %v, %v", left, err)
			}
		})
	}
}

// killHarness starts a harness and kills it once it has said a random number of things and a random moment has passed.
func killHarness(t *testing.T, c Containment, root *workdir.Root, unique string, rng *rand.Rand) {
	t.Helper()
	harness := exec.Command(os.Args[0])
	harness.Env = append(os.Environ(), fakeHarnessEnv+"="+string(c), fakeCacheEnv+"="+root.Dir(), unique)
	harness.Stderr = os.Stderr
	out, err := harness.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := harness.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for range rng.IntN(5) {
		if !lines.Scan() {
			t.Fatal("the harness ended by itself")
		}
	}
	<-time.After(time.Duration(rng.Int64N(int64(8 * time.Millisecond)))) // the random moment; nothing is awaited
	if err := harness.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = harness.Wait()
}

func sweep(t *testing.T, root *workdir.Root) {
	t.Helper()
	if _, err := root.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func openCache(t *testing.T) *workdir.Root {
	t.Helper()
	dir, err := os.MkdirTemp("", "proc") //nolint:usetesting // t.TempDir is closed to other users
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	root, err := workdir.OpenAt(dir)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// TestTheWeakestContainmentNeedsTheSweep shows that the test above can fail: without a namespace, and without the sweep,
// a grandchild in its own session does outlive the harness.
func TestTheWeakestContainmentNeedsTheSweep(t *testing.T) {
	root := openCache(t)
	unique := uniqueEnv(t)
	harness := exec.Command(os.Args[0])
	harness.Env = append(os.Environ(), fakeHarnessEnv+"="+string(ProcessGroup), fakeCacheEnv+"="+root.Dir(), unique)
	if err := harness.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "four children and four grandchildren", func() bool { return countSleepers(unique) == 8 })
	_ = harness.Process.Kill()
	_ = harness.Wait()
	eventually(t, "only the grandchildren are left", func() bool { return countMarked(unique) == 4 })
	swept, err := root.Sweep(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n := countMarked(unique); n != 0 || !strings.Contains(strings.Join(swept.Processes, " "), "sleep") {
		t.Errorf("%d are left after the sweep, which ended %q", n, swept.Processes)
	}
}
