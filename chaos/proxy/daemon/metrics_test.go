package daemon

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2/client"
)

func TestMetricsMoveWhileAConnectionLives(t *testing.T) {
	url, _ := start(t, Options{})
	p := must(toxiproxy.NewClient(url).CreateProxy("redis", "127.0.0.1:0", echo(t)))(t)
	_ = must(p.AddToxic("slow", "latency", "upstream", 1, toxiproxy.Attributes{"latency": 20}))(t)
	c := dial(t, p.Listen)
	_ = must(roundTrip(c))(t)
	want := []string{
		`shakedown_proxy_open_connections{link="redis"} 1`,
		`shakedown_proxy_bytes_total{direction="upstream",link="redis"} 4`,
		`shakedown_proxy_bytes_total{direction="downstream",link="redis"} 4`,
		`shakedown_proxy_received_bytes_total{direction="upstream",link="redis"} 4`,
		`shakedown_proxy_active_effects{effect="delay",link="redis"} 1`,
		`shakedown_proxy_active_effects{effect="half_open",link="redis"} 0`,
		`shakedown_proxy_delayed_chunks_total{link="redis"} 1`,
		`shakedown_proxy_delay_seconds_bucket{link="redis",le="0.01"} 0`,
		`shakedown_proxy_delay_seconds_bucket{link="redis",le="+Inf"} 1`,
		`shakedown_proxy_delay_seconds_count{link="redis"} 1`,
		`shakedown_proxy_delay_asked_seconds_bucket{link="redis",le="0.02"} 1`,
		`toxiproxy_proxy_received_bytes_total{direction="upstream",listener="` + p.Listen + `",proxy="redis",upstream="` + p.Upstream + `"} 4`,
		`toxiproxy_proxy_sent_bytes_total{direction="downstream",listener="` + p.Listen + `",proxy="redis",upstream="` + p.Upstream + `"} 4`,
		`go_goroutines `, `process_open_fds `,
	}
	for until := time.Now().Add(time.Minute); ; { // bytes count once they are written, which their echo may overtake
		text := metrics(t, url)
		missing := ""
		for _, line := range want {
			if !strings.Contains("\n"+text, "\n"+line) {
				missing = line
			}
		}
		if missing == "" {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("no %s in\n%s", missing, text)
		}
	}
}

func metrics(t *testing.T, url string) string {
	t.Helper()
	r := must(http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/metrics", nil))(t)
	r.Close = true
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	return string(must(io.ReadAll(resp.Body))(t))
}
