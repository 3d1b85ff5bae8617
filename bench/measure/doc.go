// Package measure owns the numbers: it turns what one trial left (samples, spans, scraped series) into the answers to
// queries and into the lines of charts. It never reads a file, never compares a number with a bound, and knows nothing
// of claims. Packages check, verdict and report call it; experiments are validated against its table of metrics.
//
// Every number belongs to a window: a phase, its tail, or all judged phases together. An arrival is in the window in
// which it was due, whenever it was sent or answered, so that a slow answer counts against the moment its user asked.
// Percentiles are exact, by nearest rank over all samples of the window, and are never averaged. [Metrics] is the
// table of all metrics:
//
//	metric              what                                                     stats                             unit
//	goodput             ok within the operation's SLO ÷ scheduled                                                  share
//	useful              ok or degraded within the SLO ÷ scheduled                                                  share
//	ok … unsent         arrivals with that outcome ÷ scheduled                                                     share
//	flag                answers with the flag Name ÷ answered                                                      share
//	throughput_per_s    ok answers per second of the window                                                        1/s
//	goodput_per_s       ok answers within the SLO per second                                                       1/s
//	completed_per_s     ok answers that came in the window, per second                                             1/s
//	offered_per_s       scheduled arrivals per second                                                              1/s
//	response_ms         due to done, of all that were sent                       mean p50 p90 p95 p99 p99_9 max    ms
//	answer_ms           due to done, of ok and degraded answers                  the same                          ms
//	service_ms          sent to done, of all that were sent                      the same                          ms
//	send_lag_ms         due to sent, of all that were sent                       the same                          ms
//	age_ms              age that the answer states of its value                  the same                          ms
//	in_flight           requests in flight, as the generator's ticker saw them   mean max last                     requests
//	amplification       attempts at dependency Name ÷ scheduled arrivals                                           ratio
//	series              scraped series selected by Name                          mean max min last increase rate   as scraped
//	span                spans of kind Name                                       count rate mean_ms p50_ms …       by stat
//	audit               what the pattern's audit counted, by Name                                                  writes, s
//	recover_s           from the end of the faults to 90 % of Name's goodput                                       s
//	detect_s            from injection to below 90 % of Name's goodput                                             s
//	share_of_baseline   goodput ÷ the goodput of the phase Name                                                    ratio
//
// A request that never came back counts in response_ms with the time at which it was given up: leaving it out would
// flatter a server that hangs.
package measure
