// Package chaostest owns what every fault must prove before it may be used in a trial: a conformance kit, and a rig
// of real links for it. It must never know one fault from another; a fault's peculiarities come with its rig.
// The tests of package chaos's faults call it, and so should the tests of faults that others add.
package chaostest
