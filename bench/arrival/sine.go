package arrival

import "math"

// sine is Λ of a rate that swings around its mean. Times are in seconds.
type sine struct{ mean, swing, period, len float64 }

func (w sine) again() cumulative { return w }

func (w sine) total() float64 { return w.upTo(w.len) }

// upTo is Λ(t) = mean·t + swing·period/2π · (1 − cos(2πt/period)).
func (w sine) upTo(t float64) float64 {
	half := math.Sin(math.Pi * t / w.period)
	return w.mean*t + w.swing*w.period/math.Pi*half*half
}

// when is found by Newton's method, within an interval that is halved when the method would leave it: the rate may be 0 once a period.
func (w sine) when(s float64) float64 {
	lo, hi := max(0, s/w.mean-w.swing*w.period/(math.Pi*w.mean)), min(w.len, s/w.mean)
	t := (lo + hi) / 2
	for range 200 {
		diff := w.upTo(t) - s
		if diff > 0 {
			hi = t
		} else {
			lo = t
		}
		if hi-lo < 1e-12*(1+t) || diff == 0 {
			break
		}
		next := t - diff/(w.mean+w.swing*math.Sin(2*math.Pi*t/w.period))
		if !(next > lo && next < hi) {
			next = (lo + hi) / 2
		}
		if math.Abs(next-t) < 1e-13*(1+t) {
			return next
		}
		t = next
	}
	return t
}
