// Package cgroup owns control groups: it finds where this process may make them, makes groups for the processes of a run,
// limits and reads them, and removes them, also those of a run that was killed. Versions 1 and 2 of the kernel's interface
// (cgroups(7)) look the same from outside. It never starts or ends a process, and never turns a controller on or off:
// it only uses what is delegated, and says exactly what is missing where nothing is.
package cgroup
