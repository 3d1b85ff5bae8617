// Package verdict owns what a run comes to: it sets the values of a run's trials against the bounds that the
// experiment's checks stated before the run, with intervals over repeats, and says what the checks make of each claim.
// It never reads a file and never prints; a Result is a pure function of the recording. The report and the commands
// that end with an exit code call it.
//
// Uncertainty comes from repeats, not from requests: one repeat gives one value. What cannot be told is Unknown, and
// Unknown is never a pass:
//
//   - With three repeats or more, a check holds when its whole 95 % interval satisfies the relation, fails when the
//     whole interval violates it, and is unknown in between.
//   - With one or two, the point decides, unless it is too close to the bound: within 10 % of it; for shares within
//     0.02, or within half of what is left between the bound and the nearer of 0 and 1, where that is less; for a
//     difference from zero within 10 % of what is compared with. A value that equals its bound is not close to it but
//     on its side: counts and shares land there for a reason.
//   - With fewer observations than the check asks for, with no data, with 0 ÷ 0, and where the control passes too, a
//     check is unknown.
//   - A recording that ended first gives a bound: "at least 8 s" satisfies "at least 5 s", violates "at most 5 s", and
//     says nothing about "at least 10 s". A number above zero over zero is beyond every bound.
package verdict
