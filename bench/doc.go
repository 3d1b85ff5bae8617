// Package bench is the vocabulary of shakedown: patterns and their claims, experiments
// with variants, phases and checks, and the samples that a run leaves. It holds data and
// the pure functions on it; it never starts, measures or judges anything. Every other
// package under bench, and every pattern under targets, speaks in these types.
package bench
