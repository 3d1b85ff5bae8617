package measure

// Value is the answer to a bench.Query on one trial. The zero Value is no answer.
type Value struct {
	V float64
	// N is how many observations stand behind V: arrivals, spans or scraped points.
	N int
	// OK is false when there is nothing to answer from; Why says what was missing.
	OK  bool
	Why string
	// Censored: V is a bound, not a measurement; the recording ended first ("did not recover within V seconds").
	Censored bool
}
