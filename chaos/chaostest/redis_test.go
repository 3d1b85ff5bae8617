package chaostest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"shakedown/chaos"
	"shakedown/internal/stack"
)

// Redis has a real Redis, and clients that count in pipelines.
var Redis = &Stand{Name: "redis", Build: speaking(chaos.Redis, func(t *testing.T) (network, address string, c client) {
	t.Helper()
	e := engines.Engine(t, "redis")
	network, address = e.Dial()
	n := &counters{engine: e, prefix: fmt.Sprintf("counted-%d", tables.Add(1)), clients: map[int]*redis.Client{}, tallies: map[int]*tally{}}
	t.Cleanup(n.close)
	return network, address, n
})}

// A tally is what a client knows of its counter.
type tally struct{ done, unsure int64 }

// counters are clients that each count one key up.
type counters struct {
	engine stack.Instance
	prefix string

	mu      sync.Mutex
	clients map[int]*redis.Client
	tallies map[int]*tally
}

func (n *counters) client(addr string, worker int) (*redis.Client, *tally) {
	n.mu.Lock()
	defer n.mu.Unlock()
	c, ok := n.clients[worker]
	if !ok {
		c = redis.NewClient(&redis.Options{Addr: addr, PoolSize: 1, MaxRetries: -1, ReadTimeout: -1})
		n.clients[worker], n.tallies[worker] = c, &tally{}
	}
	return c, n.tallies[worker]
}

func (n *counters) key(worker int) string { return fmt.Sprintf("%s-%d", n.prefix, worker) }

// exchange is a pipeline: the replies must be those of their commands, and only INCR may fail.
func (n *counters) exchange(ctx context.Context, addr string, worker int) (Harm, error) {
	c, t := n.client(addr, worker)
	pipe := c.Pipeline()
	var echoes []*redis.StringCmd
	var counts []*redis.IntCmd
	for i := range 4 {
		echoes = append(echoes, pipe.Echo(ctx, i))
		counts = append(counts, pipe.Incr(ctx, n.key(worker)))
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	harm, err := Harmless, error(nil)
	for i := range echoes {
		if said, e := echoes[i].Result(); e == nil && said != fmt.Sprint(i) {
			return Harmless, fmt.Errorf("ECHO %d is answered with %q", i, said)
		}
		switch _, e := counts[i].Result(); {
		case e == nil:
			t.done++
		case strings.HasPrefix(e.Error(), "READONLY"):
			harm, err = harm|Errs, e
		default:
			t.unsure++
			harm, err = harm|Cuts, e
		}
	}
	return harm, err
}

// check compares what clients counted with what the server has.
func (n *counters) check(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	network, address := n.engine.Dial()
	direct := redis.NewClient(&redis.Options{Network: network, Addr: address})
	var errs []error
	for worker, t := range n.tallies {
		has, err := direct.Get(ctx, n.key(worker)).Int64()
		if err != nil && !errors.Is(err, redis.Nil) {
			errs = append(errs, err)
		} else if has < t.done || has > t.done+t.unsure {
			errs = append(errs, fmt.Errorf("client %d counted to %d, %d more unsure; the server to %d", worker, t.done, t.unsure, has))
		}
	}
	return errors.Join(append(errs, direct.Close())...)
}

func (n *counters) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.clients {
		_ = c.Close()
	}
}
