package stack

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"shakedown/chaos"
)

// etcdAt asks the server at a URL, as a user's client would find it.
func etcdAt(address string) (*etcdServer, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	if u.Host == "" {
		return newEtcd("etcd", "unix", u.Path), nil
	}
	return newEtcd("etcd", "tcp", u.Host), nil
}

func base(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

func putEtcd(ctx context.Context, address, v string) error {
	e, err := etcdAt(address)
	if err == nil {
		_, err = e.read(ctx, http.MethodPost, "/v3/kv/put", map[string]string{"key": base("fact"), "value": base(v)})
	}
	return err
}

func getEtcd(ctx context.Context, address string) (string, error) {
	e, err := etcdAt(address)
	if err != nil {
		return "", err
	}
	var said struct{ Kvs []struct{ Value string } }
	if err := e.ask(ctx, http.MethodPost, "/v3/kv/range", map[string]string{"key": base("fact")}, &said); err != nil || len(said.Kvs) == 0 {
		return "", err
	}
	v, err := base64.StdEncoding.DecodeString(said.Kvs[0].Value)
	return string(v), err
}

func TestEtcdIsEmptiedOfKeysAndLeases(t *testing.T) {
	ctx := t.Context()
	in := mustStart(t, etcdKind{}, options(t))
	e := in.(*etcdServer)
	if err := putEtcd(ctx, in.URL(), "kept"); err != nil {
		t.Fatal(err)
	}
	if _, err := e.read(ctx, http.MethodPost, "/v3/lease/grant", map[string]string{"TTL": "60"}); err != nil {
		t.Fatal(err)
	}
	stats, err := in.Stats(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]float64{"shakedown_etcd_has_leader": 1, "shakedown_etcd_leases_granted_total": 1} {
		if got := value(t, stats, name, nil); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if n := value(t, stats, "shakedown_etcd_wal_fsyncs_total", nil); n < 2 {
		t.Errorf("%v fsyncs; a key and a lease are two writes", n)
	}
	if err := in.Reset(ctx); err != nil {
		t.Fatal(err)
	}
	if v, err := getEtcd(ctx, in.URL()); v != "" || err != nil {
		t.Errorf("after Reset the fact is %q, %v", v, err)
	}
	var held struct{ Leases []struct{ ID string } }
	if err := e.ask(ctx, http.MethodPost, "/v3/lease/leases", struct{}{}, &held); err != nil || len(held.Leases) != 0 {
		t.Errorf("after Reset the leases are %v, %v", held.Leases, err)
	}
}

func TestTheClockOfEtcdCannotBeChanged(t *testing.T) {
	o := options(t)
	o.Arrangement = chaos.Arrangement{Clock: true}
	if in, err := (etcdKind{}).Start(t.Context(), o); in != nil || !errors.Is(err, errGoClock) {
		t.Errorf("started for a changed clock: %v", err)
	}
	in := mustStart(t, etcdKind{}, options(t))
	p := in.Process().(chaos.Skewable)
	_, err := p.Time(t.Context())
	for what, err := range map[string]error{"can": p.CanSkew(), "does": p.Skew(t.Context(), chaos.Skew{}), "says": err, "planned": ClockFault("etcd")} {
		if !errors.Is(err, errGoClock) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := ClockFault("redis"); err != nil {
		t.Errorf("redis: %v", err)
	}
}

func TestWhatIsNoEtcdIsNotTakenForOne(t *testing.T) {
	in := mustStart(t, redisKind{}, options(t))
	if got, err := (etcdKind{}).Attach(t.Context(), "http://"+forward(t, in)); got != nil || err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("attached to redis as etcd: %v", err)
	}
}
