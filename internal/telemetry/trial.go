package telemetry

import (
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// Trial names the trial in progress.
type Trial struct {
	Run, Experiment, Variant, Level string
	Repeat                          int
}

// trialInfo is the metric shakedown_trial_info, the constant 1 with the trial in its labels, which other series are
// joined with. It is a collector, so that no scrape sees two trials, or none in between.
type trialInfo struct {
	mu    sync.Mutex
	trial *Trial
	phase string
}

var trialDesc = prometheus.NewDesc("shakedown_trial_info", "1 for the trial and phase in progress.",
	[]string{"run", "experiment", "variant", "level", "repeat", "phase"}, nil)

// set changes the phase, and the trial too unless it is nil.
func (i *trialInfo) set(t *Trial, phase string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if t != nil {
		i.trial = t
	}
	i.phase = phase
}

func (i *trialInfo) Describe(ch chan<- *prometheus.Desc) { ch <- trialDesc }

func (i *trialInfo) Collect(ch chan<- prometheus.Metric) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.trial == nil {
		return
	}
	ch <- prometheus.MustNewConstMetric(trialDesc, prometheus.GaugeValue, 1, i.trial.Run, i.trial.Experiment,
		i.trial.Variant, i.trial.Level, strconv.Itoa(i.trial.Repeat), i.phase)
}
