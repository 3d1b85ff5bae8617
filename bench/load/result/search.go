package result

// A Search is the search for the highest rate that meets an SLO.
type Search struct {
	// Found is whether some rate was confirmed; Limited, that the generator was the limit before the server was: the knee is at least that.
	Found   bool `json:"found"`
	Limited bool `json:"limited_by_generator"`
	// KneePerS is the highest rate that was confirmed, and MissedPerS the lowest that was missed; 0: none.
	KneePerS   float64 `json:"knee_per_s"`
	MissedPerS float64 `json:"missed_per_s"`
	// Why the search ended, in words.
	Why    string  `json:"why"`
	Trials []Trial `json:"trials"`
}

// A Trial is one rate that was tried.
type Trial struct {
	RatePerS float64 `json:"rate_per_s"`
	Purpose  string  `json:"purpose"` // "grow", "bisect" or "confirm"
	Valid    bool    `json:"valid"`
	Met      bool    `json:"met"`
	// GrowthPerS is by how much the requests that are not dealt with grew, per second: above the knee, a percentile says only how long one waited with measuring.
	GrowthPerS   float64 `json:"backlog_growth_per_s"`
	AchievedPerS float64 `json:"achieved_per_s"`
	P50          float64 `json:"p50_ms"`
	P99          float64 `json:"p99_ms"`
	Goodput      float64 `json:"goodput"`
	Why          string  `json:"why"` // what was not met, or why it is void
}
