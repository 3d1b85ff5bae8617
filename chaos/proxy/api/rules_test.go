package api

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"shakedown/chaos"
)

func TestRulesActOnMessagesOfALinkWithAProtocol(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	defer upstream.Close()
	c := dial(t, start(t))
	spec := LinkSpec{Name: "service-0→backend", Address: upstream.Listener.Addr().String(), Protocol: chaos.HTTP}
	l, err := c.CreateLink(t.Context(), spec)
	if err != nil || l.Protocol() != chaos.HTTP {
		t.Fatalf("%v, %v", l, err)
	}
	get := func() int {
		t.Helper()
		resp, err := http.Get("http://" + l.Addr())
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	defer http.DefaultClient.CloseIdleConnections()
	if got := get(); got != http.StatusNoContent {
		t.Errorf("without a rule: %d", got)
	}
	rule := chaos.Rule{Pick: chaos.Pick{Nth: 1}, HTTP: &chaos.HTTPRule{Answer: &chaos.HTTPAnswer{Status: 429}}}
	if err := l.SetRule(t.Context(), "r", rule); err != nil {
		t.Fatal(err)
	}
	if first, second := get(), get(); first != http.StatusTooManyRequests || second != http.StatusNoContent {
		t.Errorf("with a rule for the first: %d, %d", first, second)
	}
	n, err := l.RuleCounters(t.Context(), "r")
	if err != nil || n.Seen != 2 || n.Matched != 2 || n.Acted != 1 || n.Acknowledged != n.Live {
		t.Errorf("%+v, %v", n, err)
	}
	if err := l.ClearRule(t.Context(), "r"); err != nil {
		t.Error(err)
	}
	if _, err := l.RuleCounters(t.Context(), "r"); err == nil || !strings.Contains(err.Error(), "has no rule r") {
		t.Errorf("counters of a rule that is gone: %v", err)
	}
	if err := l.SetRule(t.Context(), "r", chaos.Rule{Redis: &chaos.RedisRule{Error: "OOM no"}}); err == nil || !strings.Contains(err.Error(), "redis") {
		t.Errorf("a rule of another protocol: %v", err)
	}
}

func TestALinkOfAnUnknownProtocolIsRefused(t *testing.T) {
	c := dial(t, start(t))
	if _, err := c.CreateLink(t.Context(), LinkSpec{Name: "a→b", Address: "127.0.0.1:1", Protocol: "smtp"}); err == nil || !strings.Contains(err.Error(), "smtp") {
		t.Errorf("%v", err)
	}
}
