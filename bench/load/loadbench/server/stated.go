package server

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"shakedown/bench/load/loadbench/queueing"
)

// Stated is what requests really spent in the server, from read to answered, in milliseconds, from all of them.
type Stated struct {
	N    int     `json:"n"`
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P95  float64 `json:"p95"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99_9"`
}

func stated(spent []time.Duration) Stated {
	sorted := make([]float64, len(spent))
	for i, d := range spent {
		sorted[i] = float64(d) / float64(time.Millisecond)
	}
	slices.Sort(sorted)
	at := func(p float64) float64 {
		if v := queueing.At(sorted, p); !math.IsNaN(v) {
			return v
		}
		return 0 // with N to tell that it is none
	}
	return Stated{len(spent), at(0.50), at(0.90), at(0.95), at(0.99), at(0.999)}
}

// state answers GET /stated.
func (s *Server) state(c *conn) {
	body, err := json.Marshal(stated(append(slices.Clone(s.writers[0].spent), s.writers[1].spent...)))
	if err != nil {
		panic(err) // numbers can be marshalled
	}
	if !answer(c, fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)) {
		s.close(c)
	}
}
