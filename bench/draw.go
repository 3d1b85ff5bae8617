package bench

import (
	"math"
	"math/bits"
	"math/rand/v2"
)

// A Rand is the random numbers of one arrival: pure in (seed, seq), and free of allocations, which rand.Rand is not. It draws
// what rand.Rand draws from the same PCG.
type Rand struct{ pcg rand.PCG }

// Seed begins the numbers of arrival seq.
func (r *Rand) Seed(seed, seq uint64) { r.pcg.Seed(seed, seq) }

// Float64 is in [0, 1).
func (r *Rand) Float64() float64 { return float64(r.pcg.Uint64()<<11>>11) / (1 << 53) }

// Int64N is in [0, n), by D. Lemire, "Fast random integer generation in an interval", ACM TOMACS 29(1), 2019. It panics unless n > 0.
func (r *Rand) Int64N(n int64) int64 {
	if n <= 0 {
		panic("bench: Int64N needs n > 0")
	}
	u := uint64(n)
	if u&(u-1) == 0 {
		return int64(r.pcg.Uint64() & (u - 1))
	}
	hi, lo := bits.Mul64(r.pcg.Uint64(), u)
	if lo < u {
		for floor := -u % u; lo < floor; {
			hi, lo = bits.Mul64(r.pcg.Uint64(), u)
		}
	}
	return int64(hi)
}

// A Choice is among things of different weight. The zero value has none.
type Choice struct{ cum []float64 }

// Add adds one more thing.
func (c *Choice) Add(weight float64) {
	if n := len(c.cum); n > 0 {
		weight += c.cum[n-1]
	}
	c.cum = append(c.cum, weight)
}

// Of is the index of one of them. With a single one it draws nothing.
func (c *Choice) Of(rng *Rand) int {
	if len(c.cum) < 2 {
		return 0
	}
	u, at := rng.Float64()*c.cum[len(c.cum)-1], 0
	for c.cum[at] <= u {
		at++
	}
	return at
}

// A KeyDraw draws keys. It is safe for concurrent use.
type KeyDraw struct {
	keys Keys
	zipf *zipf
}

// Draw prepares to draw keys; it fails where Validate does.
func (k Keys) Draw() (*KeyDraw, error) {
	if err := k.Validate(); err != nil {
		return nil, err
	}
	d := &KeyDraw{keys: k}
	if k.Dist == "zipf" {
		d.zipf = newZipf(k.N, k.S)
	}
	return d, nil
}

// Key is the key of arrival seq.
func (d *KeyDraw) Key(rng *Rand, seq uint64) int64 {
	key := d.keys.From
	switch d.keys.Dist {
	case "uniform":
		key += rng.Int64N(d.keys.N)
	case "zipf":
		key += d.zipf.draw(rng)
	case "sequential":
		key += int64(seq % uint64(d.keys.N))
	}
	return key
}

// zipf draws ranks 0…n−1 with probability ∝ 1/(rank+1)^s for any s > 0, by rejection-inversion:
// W. Hörmann, G. Derflinger, "Rejection-inversion to generate variates from monotone discrete
// distributions", ACM TOMACS 6(3), 1996. (math/rand's Zipf needs s > 1.)
type zipf struct {
	n                  float64
	s                  float64
	hX1, hN, threshold float64
}

func newZipf(n int64, s float64) *zipf {
	z := &zipf{n: float64(n), s: s}
	z.hX1 = z.h(1.5) - 1
	z.hN = z.h(z.n + 0.5)
	z.threshold = 2 - z.hInv(z.h(2.5)-math.Pow(2, -s))
	return z
}

// h is the integral of x^-s; helper functions keep it accurate as s approaches 1.
func (z *zipf) h(x float64) float64 {
	l := math.Log(x)
	return expm1x((1-z.s)*l) * l
}

func (z *zipf) hInv(x float64) float64 {
	t := max(x*(1-z.s), -1)
	return math.Exp(log1px(t) * x)
}

func (z *zipf) draw(rng *Rand) int64 {
	for {
		u := z.hN + rng.Float64()*(z.hX1-z.hN)
		x := z.hInv(u)
		k := math.Floor(x + 0.5)
		k = min(max(k, 1), z.n)
		if k-x <= z.threshold || u >= z.h(k+0.5)-math.Exp(-z.s*math.Log(k)) {
			return int64(k) - 1
		}
	}
}

// expm1x is (e^x − 1)/x.
func expm1x(x float64) float64 {
	if math.Abs(x) > 1e-8 {
		return math.Expm1(x) / x
	}
	return 1 + x/2*(1+x/3*(1+x/4))
}

// log1px is ln(1+x)/x.
func log1px(x float64) float64 {
	if math.Abs(x) > 1e-8 {
		return math.Log1p(x) / x
	}
	return 1 - x*(0.5-x*(1.0/3-x/4))
}
