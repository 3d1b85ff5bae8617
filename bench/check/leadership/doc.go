// Package leadership owns the judgement of histories in which instances are given a role, one at a time, and act on a resource in it. It
// counts what went wrong, and asks a checker of linearizability (A. Athalye, "Porcupine", github.com/anishathalye/porcupine) whether any
// order explains the history: M. Herlihy, J. Wing, "Linearizability", TOPLAS 12(3), 1990. The package is pure; it never knows which
// store gave the role, or what the resource is.
package leadership
