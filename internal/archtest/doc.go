// Package archtest holds the tests of the architecture: which package may import which. The order is described in
// docs/architecture.md; nothing imports this package.
package archtest
