// Package proc owns child processes that cannot be orphaned: a Keeper starts them so that the kernel ends them, and all
// they started, when the harness dies, however it dies. It never knows what a child is for, an engine, the chaos proxy or
// a service, and it keeps no data but their logs. Package stack and the orchestrator start every process through it.
package proc
