package toxiproxy

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// series are the lines of /metrics that are about proxies.
func (s *side) series(t *testing.T) []string {
	t.Helper()
	var lines []string
	for line := range strings.Lines(s.ask(t, ask{"GET", "/metrics", ""}).Body) {
		if strings.HasPrefix(line, "toxiproxy_proxy_") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	slices.Sort(lines)
	return lines
}

// TestMetricsAreNamedLikeToxiproxys sends the same through both. Toxiproxy counts once a connection has ended.
func TestMetricsAreNamedLikeToxiproxys(t *testing.T) {
	theirs, our := pair(t)
	server := serve(t, echoes)
	for _, s := range []*side{theirs, our} {
		c := with(t, s, server, "noop", "upstream", 1, "{}").dial()
		c.send(10)
		c.wantBack(10, 0)
		_ = c.Close()
	}
	for until := time.Now().Add(time.Minute); ; {
		want, got := theirs.series(t), our.series(t)
		if len(want) == 4 && slices.Equal(want, got) {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("Toxiproxy has\n%s\nwe have\n%s", strings.Join(want, "\n"), strings.Join(got, "\n"))
		}
	}
}
