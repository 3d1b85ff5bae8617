package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"shakedown/chaos"
	"shakedown/chaos/proxy"
	"shakedown/chaos/proxy/intercept/protocols"
	"shakedown/internal/units"
)

// rig is a client of a proxy with the links a and b.
func rig(t *testing.T) *Client {
	t.Helper()
	c := dial(t, start(t))
	for _, name := range []string{"a", "b"} {
		if _, err := c.CreateLink(t.Context(), LinkSpec{Name: name, Address: echo(t)}); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func newProxy(t *testing.T) *proxy.Proxy {
	t.Helper()
	p, err := proxy.New(proxy.WithInspectors(protocols.All()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// latency is a fault of the link a.
func latency() *chaos.Latency {
	return &chaos.Latency{Link: "a", Delay: 20 * units.Millisecond}
}

func effects(t *testing.T, c *Client, link string) int {
	t.Helper()
	all, err := c.Links(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range all {
		if l.Name == link {
			return len(l.Effects)
		}
	}
	return 0
}

func TestAFaultIsInjectedProvedAndHealed(t *testing.T) {
	c, ctx := rig(t), t.Context()
	made, err := c.Inject(ctx, latency(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if !made.Landed.Seen || made.Landed.Got < 0.8*40 || made.ID != "latency-1" || !made.InForce() || made.Text != latency().String() {
		t.Errorf("%+v", made)
	}
	if len(made.Effects) != 1 || made.Effects[0].Link != "a" || effects(t, c, "a") != 1 || effects(t, c, "b") != 0 {
		t.Errorf("effects %+v", made.Effects)
	}
	if _, ok := made.Fault.Fault.(*chaos.Latency); !ok {
		t.Errorf("came back as %T", made.Fault.Fault)
	}
	all, err := c.Faults(ctx)
	if err != nil || len(all) != 1 || all[0].ID != made.ID || !all[0].InForce() {
		t.Errorf("%+v, %v", all, err)
	}
	for range 2 { // the second changes nothing
		gone, err := c.Heal(ctx, made.ID)
		if err != nil || gone.InForce() || gone.Met.What == "" || effects(t, c, "a") != 0 {
			t.Errorf("%+v, %v", gone, err)
		}
	}
}

func TestAFaultOfATimeHealsItselfThoughNobodyWaits(t *testing.T) {
	c, ctx := rig(t), t.Context()
	made, err := c.Inject(ctx, latency(), 50*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if got := made.Until.Sub(made.Since); got != 50*time.Millisecond {
		t.Errorf("it is to last %s", got)
	}
	gone := waitHealed(t, c, made.ID)
	if lasted := gone.Healed.Sub(gone.Since); lasted < 50*time.Millisecond || effects(t, c, "a") != 0 {
		t.Errorf("it lasted %s: %+v", lasted, gone)
	}
}

func waitHealed(t *testing.T, c *Client, id string) FaultInfo {
	t.Helper()
	for until := time.Now().Add(time.Minute); time.Now().Before(until); {
		info, err := c.Fault(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if !info.InForce() {
			return info
		}
	}
	t.Fatalf("%s was never healed", id)
	return FaultInfo{}
}

func TestAFaultGoesWithItsLink(t *testing.T) {
	c, ctx := rig(t), t.Context()
	made, err := c.Inject(ctx, latency(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.DeleteLink(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateLink(ctx, LinkSpec{Name: "a", Address: echo(t)}); err != nil { // of the same name, and another one
		t.Fatal(err)
	}
	gone, err := c.Heal(ctx, made.ID)
	if err != nil || gone.InForce() || !strings.Contains(gone.Met.What, "link a was closed") || effects(t, c, "a") != 0 {
		t.Errorf("%+v, %v", gone, err)
	}
}

func TestFaultsThatCannotBeAreRefused(t *testing.T) {
	h := start(t)
	c, ctx := dial(t, h), t.Context()
	if _, err := c.CreateLink(ctx, LinkSpec{Name: "a", Address: "127.0.0.1:1"}); err != nil {
		t.Fatal(err)
	}
	for body, want := range map[string]string{
		`{}`:                         "fault is missing",
		`{"fault":{"kind":"flood"}}`: `unknown kind "flood"`,
		`{"fault":{"kind":"latency","link":"a"}}`:                                         "latency: delay is 0s",
		`{"fault":{"kind":"latency","link":"b","delay":"1s"}}`:                            "no link b; the proxy has the links a, and no processes",
		`{"fault":{"kind":"kill","process":"redis"}}`:                                     "no process redis; the proxy has the links a, and no processes",
		`{"fault":{"kind":"latency","link":"a","delay":"1s"},"for":"-1s"}`:                "for is -1s",
		`{"fault":{"kind":"latency","link":"a","delay":"1s"},"how":"long"}`:               "how",
		`{"fault":{"kind":"latency","link":"a","law":"trace","trace_file":"/etc/hosts"}}`: "reads no files",
	} {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, h.Control+"/v1/faults", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+h.Token)
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		var e errorBody
		err = json.NewDecoder(resp.Body).Decode(&e)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusBadRequest || e.Status != resp.StatusCode || !strings.Contains(e.Error, want) {
			t.Errorf("%s: %s %+v, %v; want %q", body, resp.Status, e, err, want)
		}
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	if _, err := c.Heal(ctx, "latency-7"); status(err) != http.StatusNotFound {
		t.Errorf("healing none: %v", err)
	}
	if _, err := c.Fault(ctx, "latency-7"); status(err) != http.StatusNotFound {
		t.Errorf("asking for none: %v", err)
	}
}

func status(err error) int {
	if r, ok := errors.AsType[*Refusal](err); ok {
		return r.Status
	}
	return 0
}

// An unseen fault is in force, and nothing shows it.
type unseen struct{ chaos.Latency }

func (f *unseen) Inject(ctx context.Context, s chaos.Surface) (chaos.Injection, error) {
	in, err := f.Latency.Inject(ctx, s)
	return blind{in}, err
}

type blind struct{ chaos.Injection }

func (blind) Landed() chaos.Evidence { return chaos.Evidence{What: "nothing"} }

func TestAFaultThatCannotBeSeenIsTakenBackUnlessAnotherMayHideIt(t *testing.T) {
	p, ctx := newProxy(t), t.Context()
	l, err := p.Create(ctx, LinkSpec{Name: "a", Address: "127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	book := newLedger(p)
	defer book.close()
	f := &unseen{*latency()}
	if _, err := book.inject(ctx, f, 0); status(err) != http.StatusUnprocessableEntity || !strings.Contains(err.Error(), "taken back") {
		t.Errorf("%v", err)
	}
	if len(l.Effects()) != 0 || len(book.all()) != 0 {
		t.Errorf("left: %v, %v", l.Effects(), book.all())
	}
	if err := l.Shape(ctx, "other", chaos.Effect{Delay: units.Millisecond}); err != nil {
		t.Fatal(err)
	}
	if info, err := book.inject(ctx, f, 0); err != nil || info.Landed.Seen || !info.InForce() || len(l.Effects()) != 2 {
		t.Errorf("%+v, %v", info, err)
	}
}

func TestHealedFaultsAreForgottenInTheEnd(t *testing.T) {
	book := newLedger(newProxy(t))
	defer book.close()
	for range mostHealed + 10 {
		in := done{}
		info := book.enter(latency(), in, &surface{proxy: book.proxy}, 0)
		if len(book.all()) > mostHealed+1 {
			t.Fatalf("%d are remembered", len(book.all()))
		}
		e, err := book.find(info.ID)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := book.heal(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
}

// done is an injection that heals at once.
type done struct{}

func (done) Landed() chaos.Evidence                       { return chaos.Evidence{Seen: true} }
func (done) Heal(context.Context) (chaos.Evidence, error) { return chaos.Evidence{Seen: true}, nil }

func TestInjectingWaitsForItsTurnAndNoLongerThanItsCaller(t *testing.T) {
	book := newLedger(newProxy(t))
	defer book.close()
	release, err := book.alone(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := book.inject(ctx, latency(), 0); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
