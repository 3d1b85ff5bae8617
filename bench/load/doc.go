// Package load owns the generator: it sends what is due when it is due, in open loop or in the named closed loop, and
// sees to it that every scheduled arrival ends in exactly one outcome and leaves exactly one sample. It never decides
// what is sent, when it is due or what the samples mean, and it never knows where they are stored. The orchestrator runs
// one Plan a trial.
package load
