// Package search owns the question how much load a server can take: the highest rate of arrivals at which trials meet what is asked
// of them. It must never know a server, an SLO or a clock: it calls a function that runs a trial, and says which trial is next and what
// all of them together come to. The load command calls it.
//
// What is looked for is the usable capacity of R. Jain, The Art of Computer Systems Performance Analysis (1991), section 3.3: the
// throughput that can be had without exceeding a limit that was set beforehand. Rates are ramped up first, as B. Gregg describes in
// Systems Performance (2nd ed. 2020), section 12.3.7, but each in open loop, with a trial of its own, because a ramp measures a queue
// that the rates before it have filled. A single trial near the limit says little, whatever its length: Y. Zhang et al., Treadmill
// (ISCA 2016) show that tails differ more between runs than a run's own samples let on, and M. Kogias et al., Lancet (USENIX ATC 2019)
// that a tail which is read before the system is stationary is no property of the system. So the limit is confirmed by fresh
// repeats on both of its sides, and a queue that grows all through a trial has a rate of growth here, and no percentile.
package search
