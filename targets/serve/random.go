package serve

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
)

// Rand is a source of randomness for one purpose ("jitter"). It replays: the same trial seed, instance and stream name
// give the same numbers, and different ones give independent numbers. It is safe for concurrent use; but goroutines
// that share it share its order, so one that must replay on its own needs a stream of its own.
func (s *Server) Rand(stream string) *rand.Rand {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d/%s/%s", s.env.Seed, s.env.Name(), stream))
	pcg := rand.NewPCG(binary.LittleEndian.Uint64(sum[:8]), binary.LittleEndian.Uint64(sum[8:16]))
	return rand.New(&lockedSource{pcg: pcg}) // rand.Rand itself keeps no state
}

type lockedSource struct {
	mu  sync.Mutex
	pcg *rand.PCG
}

func (l *lockedSource) Uint64() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pcg.Uint64()
}
