package serve

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

// RedisNodes are the trial's Redis and its replicas, of which any may be the primary: nobody tells clients which. It asks the one that last
// took a write, and the next one when that fails or says that it is none.
type RedisNodes struct {
	nodes []*redis.Client
	at    atomic.Int64
}

// replicaOf is how the names of replicas begin.
const replicaOf = "-replica-"

// RedisNodes makes a client for Redis, and one for each of its replicas that there is; see NewRedis.
func (s *Server) RedisNodes(o RedisOptions) (*RedisNodes, error) {
	client, err := s.Redis(o)
	if err != nil {
		return nil, err
	}
	n := &RedisNodes{nodes: []*redis.Client{client}}
	for _, name := range slices.Sorted(maps.Keys(s.env.URLs)) {
		if !strings.HasPrefix(name, "redis"+replicaOf) {
			continue
		}
		replica, err := NewRedis(s, name, s.env.URLs[name], o)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		n.nodes = append(n.nodes, replica)
	}
	return n, nil
}

// On calls with the node that is thought to be the primary, once. One that fails is not asked next time.
func (n *RedisNodes) On(call func(*redis.Client) error) error {
	at := n.at.Load()
	err := call(n.nodes[at%int64(len(n.nodes))])
	var said redis.Error
	if err != nil && !errors.Is(err, redis.Nil) && (!errors.As(err, &said) || strings.HasPrefix(err.Error(), "READONLY")) {
		n.at.CompareAndSwap(at, at+1)
	}
	return err
}
