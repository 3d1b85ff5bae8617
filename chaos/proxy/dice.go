package proxy

import (
	"hash/fnv"
	"math"
	"strconv"
	"time"

	"shakedown/chaos"
)

// Dice make the random decisions. They are SplitMix64 (G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number
// generators", OOPSLA '14), started anew for every decision, so that each is a pure function of what it is about.
type dice uint64

// A purpose keeps decisions about the same thing apart.
type purpose uint64

const (
	forShare purpose = iota + 1
	forDelay
	forTrace
	forLoss
	forSlice
	forCorruption
	forDrop
	forDuplicate
	forReorder
)

const golden = 0x9e3779b97f4a7c15

// mix is SplitMix64's finalizer: every bit of x decides about every bit of the result.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// roll are the dice for the nth decision of a kind about what key names.
func roll(seed uint64, why purpose, key, n uint64) dice {
	return dice(mix(mix(mix(seed+golden*uint64(why))^key) + golden*n))
}

func (d *dice) next() uint64 {
	*d += golden
	return mix(uint64(*d))
}

// unit is uniform over [0, 1).
func (d *dice) unit() float64 { return float64(d.next()>>11) / (1 << 53) }

// connKey names the nth connection of a link.
func connKey(link string, conn uint64) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(strconv.AppendUint([]byte(link+"\x00"), conn, 10)) // a hash never fails
	return h.Sum64()
}

// streamKey names one direction of a connection.
func streamKey(conn uint64, way int) uint64 { return mix(conn + golden*uint64(way+1)) }

// A spread is a delay that its law spreads.
type spread struct {
	seed          uint64
	law           chaos.Law
	delay, jitter time.Duration
	tail          float64
	trace         []time.Duration
}

// draw is the delay of the nth chunk of a stream.
func (s *spread) draw(key, n uint64) time.Duration {
	d := roll(s.seed, forDelay, key, n)
	switch s.law {
	case chaos.Normal: // G. Box, M. Muller, 1958
		z := math.Sqrt(-2*math.Log(1-d.unit())) * math.Cos(2*math.Pi*d.unit())
		return max(0, s.delay+time.Duration(z*float64(s.jitter)))
	case chaos.Pareto: // Lomax, by inversion: its mean is scale ÷ (tail − 1)
		scale := float64(s.jitter) * (s.tail - 1)
		return s.delay + time.Duration(min(scale*(math.Pow(1-d.unit(), -1/s.tail)-1), float64(longest)))
	case chaos.Traced:
		from := roll(s.seed, forTrace, key, 0)
		return s.delay + s.trace[(from.next()%uint64(len(s.trace))+n)%uint64(len(s.trace))]
	}
	return max(0, s.delay+time.Duration(d.next()%uint64(2*s.jitter+1))-s.jitter)
}

// longest bounds a delay, so that several add up.
const longest = 1000 * time.Hour

// A chance is what happens to a share of chunks or datagrams.
type chance struct {
	seed  uint64
	share float64
}

func hits(chances []chance, why purpose, key, n uint64) bool {
	for _, c := range chances {
		if d := roll(c.seed, why, key, n); d.unit() < c.share {
			return true
		}
	}
	return false
}

const (
	segmentBytes = 1448 // the payload of an Ethernet frame
	// rto is Linux's least retransmission time-out (RFC 6298 would have it 1 s), and longestRTO its greatest.
	rto        = 200 * time.Millisecond
	longestRTO = 120 * time.Second
)

// late is how much later the nth chunk comes because of segments that were lost: the last of them to arrive decides. A
// segment may be lost again when it is sent again, and waits twice as long then. Segments lost are counted.
func (c chance) late(key, n uint64, bytes int) (d time.Duration, lost int) {
	r := roll(c.seed, forLoss, key, n)
	for range max(1, (bytes+segmentBytes-1)/segmentBytes) {
		var wait time.Duration
		for timeout := rto; r.unit() < c.share && wait < longest; timeout = min(2*timeout, longestRTO) {
			wait += timeout
			lost++
		}
		d = max(d, wait)
	}
	return d, lost
}
