package loadrun

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"shakedown/bench/load"
)

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func opened(t *testing.T, o Options) *job {
	t.Helper()
	j := makeJob(t, o)
	if err := j.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(j.end)
	return j
}

func unseen(load.Tick) {}

func TestATrialSendsWhatItsSeedSchedules(t *testing.T) {
	url := serve(t, func(http.ResponseWriter, *http.Request) {})
	for _, backend := range []string{"epoll", netHTTP} {
		o := defaults(url).with("rate")
		o.Rate, o.Duration, o.Warmup, o.Backend = "400", 500*time.Millisecond, 100*time.Millisecond, backend
		j := opened(t, o)
		got, err := j.run(t.Context(), j.shape, 7, unseen)
		if err != nil {
			t.Fatal(err)
		}
		want, err := j.shape.scheduled(7)
		l := got.stats.Dist.Ledger
		if err != nil || l.Scheduled != want || l.OK != want || !got.stats.Ledger.Balances() || got.stats.Ledger.Scheduled <= want {
			t.Errorf("%s: measured %+v of %+v, want %d ok in the window and a warm-up before", backend, l, got.stats.Ledger, want)
		}
	}
}

func TestAStoppedTrialIsATrialToo(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		stop()
		<-r.Context().Done()
	})
	for _, backend := range []string{"epoll", netHTTP} {
		o := defaults(url).with("rate")
		o.Rate, o.Duration, o.Warmup, o.Backend = "100", time.Hour, 0, backend
		j := opened(t, o)
		got, err := j.run(ctx, j.shape, 7, unseen)
		if err != nil || !got.aborted || !got.stats.Ledger.Balances() {
			t.Errorf("%s: aborted is %v, ledger %+v, %v", backend, got.aborted, got.stats.Ledger, err)
		}
	}
}

func TestTheSlopeIsThatOfTheLine(t *testing.T) {
	var s slope
	for x := range 20 {
		s.add(float64(x)/4, 7+3*float64(x)/4)
	}
	if got := s.perS(); got < 2.999 || got > 3.001 {
		t.Errorf("a line that rises by 3 a second has slope %v", got)
	}
	if (&slope{}).perS() != 0 {
		t.Error("no points, no slope")
	}
}
