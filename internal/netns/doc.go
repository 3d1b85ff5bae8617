// Package netns owns networks that belong to a run: hosts, each a network namespace with one address, on a switch in a
// namespace of its own. Nothing has a name or a place on disk: a namespace lives as long as a process of the run holds it
// (namespaces(7)), so that kill -9 of the harness deletes links, addresses and rules with it, and nothing of the machine's
// own network is ever touched. It never knows what runs on a host. Package proc starts processes there, package stack
// engines, and the faults of hosts in package chaos act through it.
package netns
