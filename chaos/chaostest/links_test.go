package chaostest

import (
	"shakedown/chaos"
	"shakedown/internal/units"
)

// linkRows are the faults of links.
func linkRows() []Row {
	const ms = units.Millisecond
	return []Row{
		// Those that wait longest for probes come first.
		{Fault: &chaos.Bandwidth{Link: Edge, BytesPerSecond: 400_000, Scope: chaos.ScopeGroup, Direction: chaos.Upstream}, On: Links},
		{Fault: &chaos.Corrupt{Link: Edge, Rate: 0.05}, On: Links, Harm: Flips},
		{Fault: &chaos.Latency{Link: Edge, Delay: 5 * ms, Jitter: ms, Seed: 3}, On: Links},
		{Fault: &chaos.Latency{Link: Edge, Delay: 5 * ms, Jitter: 2 * ms, Law: chaos.Normal, Direction: chaos.Upstream}, On: Links},
		{Fault: &chaos.Latency{Link: Edge, Delay: 3 * ms, Jitter: 2 * ms, Law: chaos.Pareto, Direction: chaos.Downstream}, On: Links},
		{Fault: &chaos.Latency{Link: Edge, Law: chaos.Traced, Trace: []units.Duration{2 * ms, 9 * ms, 4 * ms}}, On: Links},
		// What only some connections meet is told by one probe, not by the least of several: it has to be more than a busy machine adds to one.
		{Fault: &chaos.Latency{Link: Edge, Delay: 20 * ms, Share: 0.8, Seed: 5}, On: Links},
		{Fault: &chaos.Loss{Link: Edge, Rate: 0.05, Seed: 1}, On: Links},
		{Fault: &chaos.Bandwidth{Link: Edge, BytesPerSecond: 200_000}, On: Links},
		{Fault: &chaos.Slicer{Link: Edge, Bytes: 200, Spread: 50, Delay: ms}, On: Links},
		{Fault: &chaos.Blackhole{Link: Edge, Direction: chaos.Downstream}, On: Links},
		{Fault: &chaos.Blackhole{Link: Edge, Share: 0.5, Seed: 2}, On: Links},
		{Fault: &chaos.HalfOpen{Link: Edge}, On: Links, Harm: Cuts | Forgets},
		{Fault: &chaos.Reset{Link: Edge}, On: Links, Harm: Cuts},
		{Fault: &chaos.Reset{Link: Edge, After: 50 * ms, Share: 0.5}, On: Links, Harm: Cuts},
		{Fault: &chaos.Close{Link: Edge, After: 20 * ms}, On: Links, Harm: Cuts},
		{Fault: &chaos.Timeout{Link: Edge, After: 100 * ms}, On: Links, Harm: Cuts},
		{Fault: &chaos.SlowClose{Link: Edge, Delay: 20 * ms}, On: Links},
		{Fault: &chaos.LimitBytes{Link: Edge, Bytes: 20_000}, On: Links, Harm: Cuts},
		{Fault: &chaos.Refuse{Link: Edge}, On: Links, Harm: Cuts},
		{Fault: &chaos.ConnectDelay{Link: Edge, Delay: 20 * ms}, On: Links},
		{Fault: &chaos.Latency{Link: Edge, Delay: 5 * ms}, On: DatagramLinks},
		{Fault: &chaos.Bandwidth{Link: Edge, BytesPerSecond: 100_000}, On: DatagramLinks},
		{Fault: &chaos.Blackhole{Link: Edge, Direction: chaos.Upstream}, On: DatagramLinks},
		{Fault: &chaos.Corrupt{Link: Edge, Rate: 0.05}, On: DatagramLinks, Harm: Flips},
		{Fault: &chaos.Drop{Link: Edge, Rate: 0.05}, On: DatagramLinks, Harm: Drops},
		{Fault: &chaos.Duplicate{Link: Edge, Rate: 0.05}, On: DatagramLinks, Harm: Doubles},
		{Fault: &chaos.Reorder{Link: Edge, Rate: 0.05}, On: DatagramLinks, Harm: Reorders},
	}
}
