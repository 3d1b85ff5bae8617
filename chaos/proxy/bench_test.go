package proxy

import (
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"shakedown/chaos"
	"shakedown/internal/units"
)

// BenchmarkDelay reports by how much the median round trip exceeds what was asked, on real connections: the error
// of a modelled network distance. Compare it with the row without a delay, which is what the proxy itself costs.
func BenchmarkDelay(b *testing.B) {
	const ms = time.Millisecond
	for _, delay := range []time.Duration{0, ms / 5, ms / 2, 2 * ms, 10 * ms} {
		b.Run(delay.String(), func(b *testing.B) {
			l := newTestLink(b, "tcp", echoServer(b, "tcp", "127.0.0.1:0"))
			if delay > 0 {
				shape(b, l, "d", chaos.Effect{Direction: chaos.Upstream, Delay: units.Duration(delay)})
			}
			c := dialLink(b, l)
			var trips []time.Duration
			msg := make([]byte, 64)
			for b.Loop() {
				start := time.Now()
				if _, err := c.Write(msg); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(c, msg); err != nil {
					b.Fatal(err)
				}
				trips = append(trips, time.Since(start))
			}
			slices.Sort(trips)
			b.ReportMetric(float64((trips[len(trips)/2] - delay).Microseconds()), "p50-over-µs")
			b.ReportMetric(float64((trips[len(trips)*99/100] - delay).Microseconds()), "p99-over-µs")
		})
	}
}

// BenchmarkThroughput moves bytes one way, straight and through the queue.
func BenchmarkThroughput(b *testing.B) {
	for name, e := range map[string]chaos.Effect{"straight": {}, "delayed": {Delay: units.Millisecond}} {
		b.Run(name, func(b *testing.B) {
			l := newTestLink(b, "tcp", startServer(b, "tcp", "127.0.0.1:0", func(c halfCloser) {
				_, _ = io.Copy(struct{ io.Writer }{io.Discard}, c)
			}))
			shape(b, l, "e", e)
			c, err := net.Dial("tcp", l.Addr())
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			buf := make([]byte, 64<<10)
			b.SetBytes(int64(len(buf)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Write(buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
