package chaostest

import (
	"testing"

	"go.uber.org/goleak"

	"shakedown/chaos"
	"shakedown/internal/units"
)

func TestMain(m *testing.M) {
	if isChild() {
		beChild()
		return
	}
	goleak.VerifyTestMain(m)
}

func TestEveryFaultConforms(t *testing.T) {
	Table(t, []Row{
		{Fault: &chaos.Latency{Link: Edge, Delay: 5 * units.Millisecond, Jitter: units.Millisecond, Seed: 3}, On: Links},
		{Fault: &chaos.Bandwidth{Link: Edge, BytesPerSecond: 200_000}, On: Links},
		{Fault: &chaos.Blackhole{Link: Edge, Direction: chaos.Downstream}, On: Links},
		{Fault: &chaos.Reset{Link: Edge}, On: Links, Harm: Cuts},
		{Fault: &chaos.Kill{Process: worker}, On: workers, Beside: &chaos.Kill{Process: neighbour("kill")}},
		{Fault: &chaos.Pause{Process: worker}, On: workers, Beside: &chaos.Pause{Process: neighbour("pause")}},
		{Fault: &chaos.Partition{Groups: [][]string{{"h0", "h1"}, {"h2", "h3", "h4"}}}, On: Hosts},
		{Fault: &chaos.Partition{From: "h3", To: "h4", Answer: chaos.RST}, On: Hosts, Harm: Cuts},
		{Fault: &chaos.PacketLoss{From: "h0", To: "h1", Rate: 0.2}, On: Hosts},
		{Fault: &chaos.LinkRate{Host: "h2", BytesPerSecond: 200_000}, On: Hosts},
	})
}
