package chaostest

import (
	"slices"
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
	whole := func(t *testing.T) Rig { return Links(t, false) }
	cut := func(t *testing.T) Rig { return Links(t, true) }
	table := []struct {
		fault chaos.Fault
		rig   func(*testing.T) Rig
	}{
		{&chaos.Latency{Link: Edge, Delay: 5 * units.Millisecond, Jitter: units.Millisecond, Seed: 3}, whole},
		{&chaos.Bandwidth{Link: Edge, BytesPerSecond: 200_000}, whole},
		{&chaos.Blackhole{Link: Edge, Direction: chaos.Downstream}, whole},
		{&chaos.Reset{Link: Edge}, cut},
		{&chaos.Kill{Process: worker}, workers},
		{&chaos.Pause{Process: worker}, workers},
	}
	var tried []string
	for _, row := range table {
		tried = append(tried, row.fault.Kind())
		t.Run(row.fault.Kind(), func(t *testing.T) { Run(t, row.fault, row.rig) })
	}
	if !slices.Equal(tried, chaos.Kinds()) {
		t.Errorf("the faults are %v, and tried are %v", chaos.Kinds(), tried)
	}
}
