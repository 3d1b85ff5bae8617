// Package synth makes recordings whose truth is known, so that the stages that judge can be tested without a server.
// It knows experiments and recordings, and nothing of metrics or verdicts. Only tests under bench call it.
package synth
