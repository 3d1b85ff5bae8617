package toxics

import (
	"hash/fnv"
	"math"
	"strings"
	"time"

	"shakedown/chaos"
	"shakedown/internal/units"
)

// A Toxic has the attributes of one type of toxic. The zero value is what a client that gives none gets.
type Toxic interface {
	// effect is what the toxic does to the connections that it acts on; false is nothing at all.
	effect() (e chaos.Effect, acts bool)
}

// A parting toxic does something to its connections when it is removed.
type parting interface {
	// parting replaces the effect, for a moment, before it is cleared.
	parting() chaos.Effect
}

// types are Toxiproxy's types of toxics.
var types = map[string]func() Toxic{
	"noop":       func() Toxic { return new(NoopToxic) },
	"latency":    func() Toxic { return new(LatencyToxic) },
	"bandwidth":  func() Toxic { return new(BandwidthToxic) },
	"slow_close": func() Toxic { return new(SlowCloseToxic) },
	"timeout":    func() Toxic { return new(TimeoutToxic) },
	"reset_peer": func() Toxic { return new(ResetToxic) },
	"slicer":     func() Toxic { return new(SlicerToxic) },
	"limit_data": func() Toxic { return new(LimitDataToxic) },
}

// New makes a toxic of a type, without attributes; it returns nil when there is no such type.
func New(typeName string) Toxic {
	if newToxic, ok := types[typeName]; ok {
		return newToxic()
	}
	return nil
}

// A ToxicWrapper is a toxic as the API shows it.
type ToxicWrapper struct {
	Toxic    `json:"attributes"`
	Name     string  `json:"name"`
	Type     string  `json:"type"`
	Stream   string  `json:"stream"` // as the client wrote it; see Direction
	Toxicity float32 `json:"toxicity"`
}

// Direction is the direction that the toxic acts in; false when its stream is none. Case does not matter.
func (w *ToxicWrapper) Direction() (chaos.Direction, bool) {
	switch d := chaos.Direction(strings.ToLower(w.Stream)); d {
	case chaos.Upstream, chaos.Downstream:
		return d, true
	}
	return "", false
}

// Effect is what the toxic does to a link; false is nothing at all. The share of the connections that it acts on is drawn
// from the seed, and from nothing else that may change: connections are not drawn again when attributes do.
func (w *ToxicWrapper) Effect(seed uint64) (chaos.Effect, bool) {
	e, acts := w.effect()
	return w.aim(e, seed), acts && w.Toxicity > 0
}

// Parting is the effect that takes the toxic's place for a moment when it is removed; most have none.
func (w *ToxicWrapper) Parting(seed uint64) (chaos.Effect, bool) {
	p, ok := w.Toxic.(parting)
	if !ok || w.Toxicity <= 0 {
		return chaos.Effect{}, false
	}
	return w.aim(p.parting(), seed), true
}

// aim gives the effect the toxic's direction and share.
func (w *ToxicWrapper) aim(e chaos.Effect, seed uint64) chaos.Effect {
	e.Direction, _ = w.Direction()
	if w.Toxicity < 1 { // an effect's share of 0 is all
		e.Share = float64(w.Toxicity)
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(w.Name)) // a hash never fails
	e.Seed = seed ^ h.Sum64()
	return e
}

// longest is more than any attribute means, and little enough for any number of them to add up.
const longest = 1000 * time.Hour

// duration is n units, which clients may give as any integer; below 0 it is none.
func duration(n int64, unit time.Duration) units.Duration {
	return units.Duration(min(max(n, 0), int64(longest/unit)) * int64(unit))
}

// NoopToxic passes all data on.
type NoopToxic struct{}

func (*NoopToxic) effect() (chaos.Effect, bool) { return chaos.Effect{}, false }

// LatencyToxic delays what passes by Latency ± Jitter.
type LatencyToxic struct {
	Latency int64 `json:"latency"` // ms
	Jitter  int64 `json:"jitter"`  // ms
}

func (t *LatencyToxic) effect() (chaos.Effect, bool) {
	e := chaos.Effect{Delay: duration(t.Latency, time.Millisecond), Jitter: duration(t.Jitter, time.Millisecond)}
	return e, e.Delay > 0 || e.Jitter > 0
}

// BandwidthToxic limits the rate of each connection. At 0 nothing passes, and what was kept does once it is removed.
type BandwidthToxic struct {
	Rate int64 `json:"rate"` // KB/s, of 1000 bytes
}

func (t *BandwidthToxic) effect() (chaos.Effect, bool) {
	if t.Rate <= 0 {
		return chaos.Effect{Hold: true}, true
	}
	return chaos.Effect{BytesPerSecond: min(t.Rate, math.MaxInt64/1000) * 1000}, true
}

// SlowCloseToxic keeps the end of a connection back.
type SlowCloseToxic struct {
	Delay int64 `json:"delay"` // ms
}

func (t *SlowCloseToxic) effect() (chaos.Effect, bool) {
	e := chaos.Effect{SlowClose: duration(t.Delay, time.Millisecond)}
	return e, e.SlowClose > 0
}

// TimeoutToxic stops all data, and closes the connection after a timeout; without one, once it is removed. Nothing of what
// it stopped arrives.
type TimeoutToxic struct {
	Timeout int64 `json:"timeout"` // ms
}

func (t *TimeoutToxic) effect() (chaos.Effect, bool) {
	after := duration(t.Timeout, time.Millisecond)
	return chaos.Effect{Hold: true, Close: after > 0, After: after}, true
}

func (*TimeoutToxic) parting() chaos.Effect { return chaos.Effect{Hold: true, Close: true} }

// ResetToxic stops all data, and resets the connection after a timeout.
type ResetToxic struct {
	Timeout int64 `json:"timeout"` // ms
}

func (t *ResetToxic) effect() (chaos.Effect, bool) {
	return chaos.Effect{Hold: true, Reset: true, After: duration(t.Timeout, time.Millisecond)}, true
}

// SlicerToxic cuts what passes into pieces of AverageSize ± SizeVariation, Delay apart. Without a size it does nothing.
type SlicerToxic struct {
	AverageSize   int `json:"average_size"`   // bytes
	SizeVariation int `json:"size_variation"` // bytes
	Delay         int `json:"delay"`          // µs
}

func (t *SlicerToxic) effect() (chaos.Effect, bool) {
	size := int64(t.AverageSize)
	return chaos.Effect{
		SliceBytes: size, SliceSpread: min(max(int64(t.SizeVariation), 0), size-1),
		SliceDelay: duration(int64(t.Delay), time.Microsecond),
	}, size > 0
}

// LimitDataToxic closes the connection once so many bytes have passed; at 0 none does.
type LimitDataToxic struct {
	Bytes int64 `json:"bytes"`
}

func (t *LimitDataToxic) effect() (chaos.Effect, bool) {
	if t.Bytes <= 0 {
		return chaos.Effect{Hold: true, Close: true}, true
	}
	return chaos.Effect{LimitBytes: t.Bytes}, true
}
