package dashboards

// The metrics that the harness exports through internal/telemetry while a run is in progress. All counters count
// arrivals whose outcome is known. A test compares this list with what is exported.
const (
	LoadScheduled = "shakedown_load_scheduled_total"  // counter {op}: arrivals
	LoadOutcomes  = "shakedown_load_outcomes_total"   // counter {op, outcome}: arrivals by what became of them
	LoadGood      = "shakedown_load_good_total"       // counter {op}: ok within the SLO
	LoadResponse  = "shakedown_load_response_seconds" // histogram {op}: from due to done
	LoadSendLag   = "shakedown_load_send_lag_seconds" // histogram: from due to sent
	LoadInFlight  = "shakedown_load_in_flight"        // gauge: sent and not answered
	FaultActive   = "shakedown_fault_active"          // gauge {fault, kind}: 1 in force, 0 healed
	TrialInfo     = "shakedown_trial_info"            // 1 {run, experiment, variant, level, repeat, phase}
)

// The metrics that a reference service exports through targets/serve. Service discovery adds the labels service
// ("service-0"), variant and level to each.
const (
	Requests        = "shakedown_requests_total"             // counter {op, outcome}
	RequestSeconds  = "shakedown_request_seconds"            // histogram {op}
	RequestsNow     = "shakedown_in_flight_requests"         // gauge
	Panics          = "shakedown_panics_total"               // counter {op}
	DepAttempts     = "shakedown_dependency_attempts_total"  // counter {dependency}
	DepErrors       = "shakedown_dependency_errors_total"    // counter {dependency, kind}
	DepSeconds      = "shakedown_dependency_seconds"         // histogram {dependency}
	BreakerState    = "shakedown_breaker_state"              // gauge {breaker, state}: 1 for the present one
	BreakerChanges  = "shakedown_breaker_transitions_total"  // counter {breaker, to}
	CacheHits       = "shakedown_cache_hits_total"           // counter {cache}
	CacheMisses     = "shakedown_cache_misses_total"         // counter {cache}
	CacheRebuilds   = "shakedown_cache_rebuilds_total"       // counter {cache}
	PoolInUse       = "shakedown_pool_in_use"                // gauge {pool}
	PoolIdle        = "shakedown_pool_idle"                  // gauge {pool}
	PoolWaiting     = "shakedown_pool_waiting"               // gauge {pool}: callers that wait now
	PoolMax         = "shakedown_pool_max"                   // gauge {pool}
	PoolAcquireTime = "shakedown_pool_acquire_seconds_total" // counter {pool}
	PoolAcquires    = "shakedown_pool_acquires_total"        // counter {pool}
	PoolEmpty       = "shakedown_pool_empty_acquires_total"  // counter {pool}: had to wait
)

// HarnessMetrics are the families of the first list, ServiceMetrics those of the second.
var (
	HarnessMetrics = []string{
		LoadScheduled, LoadOutcomes, LoadGood, LoadResponse, LoadSendLag, LoadInFlight, FaultActive, TrialInfo,
	}
	ServiceMetrics = []string{
		Requests, RequestSeconds, RequestsNow, Panics, DepAttempts, DepErrors, DepSeconds, BreakerState, BreakerChanges,
		CacheHits, CacheMisses, CacheRebuilds, PoolInUse, PoolIdle, PoolWaiting, PoolMax, PoolAcquireTime, PoolAcquires, PoolEmpty,
	}
)
