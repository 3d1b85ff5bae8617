package keyvalue

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"testing"

	"github.com/redis/go-redis/v9"

	"shakedown/bench"
	"shakedown/targets/internal/direct"
	"shakedown/targets/targettest"
)

var engines targettest.Shared

func TestMain(m *testing.M) { os.Exit(engines.Main(m)) }

func TestPattern(t *testing.T) { targettest.Run(t, Pattern, &engines) }

// TestTheAuditFindsWhatWasTakenAway writes through the service, and then does to Redis what a crash does.
func TestTheAuditFindsWhatWasTakenAway(t *testing.T) {
	env := bench.Env{Role: bench.ServiceRole, URLs: map[string]string{"redis": engines.URL(t, "redis")}}
	raw, err := json.Marshal(config())
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if err := seed(ctx, env, raw); err != nil {
		t.Fatal(err)
	}
	svc, err := open(env, raw)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = svc.server.Close() }()
	var samples []bench.Sample
	for key := range int64(1500) { // more than one step of a scan
		r := httptest.NewRequest(http.MethodPut, "/", nil)
		r.SetPathValue("key", strconv.FormatInt(key, 10))
		a, err := svc.write(ctx, r)
		if err != nil || a.Value == 0 {
			t.Fatalf("writing %d: %+v, %v", key, a, err)
		}
		samples = append(samples, bench.Sample{Seq: uint64(key), Key: key, Value: a.Value, Outcome: bench.OK})
	}
	want(t, env, raw, samples, 0, 0)
	if err := direct.Redis(env, func(c *redis.Client) error {
		return errors.Join(c.Del(ctx, redisKey(3), redisKey(1400)).Err(), c.Set(ctx, redisKey(5), config().pad(99), 0).Err())
	}); err != nil {
		t.Fatal(err)
	}
	want(t, env, raw, samples, 2, 1)
	if err := direct.Redis(env, func(c *redis.Client) error { return c.Set(ctx, redisKey(7), "torn", 0).Err() }); err != nil {
		t.Fatal(err)
	}
	if _, err := audit(ctx, env, raw, samples); err == nil {
		t.Error("a damaged value is no error")
	}
	if err := seed(ctx, env, raw); err != nil {
		t.Fatal(err)
	}
	want(t, env, raw, samples, 1500, 0)
}

func want(t *testing.T, env bench.Env, raw json.RawMessage, samples []bench.Sample, lost, changed float64) {
	t.Helper()
	a, err := audit(t.Context(), env, raw, samples)
	if err != nil || a.Numbers[bench.AuditLost] != lost || a.Numbers[bench.AuditChanged] != changed || a.Of != len(samples) {
		t.Errorf("audit: %+v, %v; want %v lost and %v changed", a, err, lost, changed)
	}
}
