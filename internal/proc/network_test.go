package proc

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"shakedown/internal/netns"
	"shakedown/internal/roottest"
)

func TestAProcessRunsInTheNetworkOfItsSpec(t *testing.T) {
	roottest.Needs(t, netns.Supported())
	space, err := netns.New()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = space.Close() }()
	network := func(path string) string {
		name, err := os.Readlink(path)
		if err != nil {
			t.Fatal(err)
		}
		return name
	}
	eachContainment(t, func(t *testing.T, k *Keeper) {
		said := t.TempDir() + "/said"
		inside := sh("inside", "readlink /proc/self/ns/net; exec sleep 1000")
		inside.Network, inside.Log = space.File(), said
		p := mustStart(t, k, inside)
		outside := mustStart(t, k, sh("outside", "exec sleep 1000"))
		var there string
		eventually(t, "it says where it is", func() bool {
			raw, _ := os.ReadFile(said)
			there = strings.TrimSpace(string(raw))
			return strings.HasSuffix(there, "]")
		})
		home := network("/proc/thread-self/ns/net")
		if want := network(space.Path()); there != want || there == home {
			t.Errorf("it is in %s, want %s; the harness is in %s", there, want, home)
		}
		if at := network(fmt.Sprintf("/proc/%d/ns/net", outside.Pid())); at != home {
			t.Errorf("the next process is in %s, and the harness in %s", at, home)
		}
		if err := p.Kill(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
