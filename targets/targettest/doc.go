// Package targettest owns the conformance kit: what every variant of every pattern must do before any load is put on it.
// It must never know a particular pattern or how an engine is started; engines come from its caller.
// The test of each pattern under targets calls Run.
package targettest
