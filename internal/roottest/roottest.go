// Package roottest is for tests of what only root may do, as namespaces, mounts and settings of the kernel, or of what scripts/setup installs.
package roottest

import (
	"os"
	"testing"
)

// Needs takes what a probe of the machine says. A test that cannot run is skipped for an ordinary user, and fails for root, and so in CI:
// root has all that it needs.
func Needs(t testing.TB, err error) {
	t.Helper()
	switch {
	case err == nil:
	case os.Geteuid() == 0:
		t.Fatal(err)
	default:
		t.Skip(err)
	}
}
