package stack

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// redisStats names the fields of INFO (redis.io/commands/info) that are read, and what they are called here.
var redisStats = []struct{ field, name, kind string }{
	{"connected_clients", "shakedown_redis_connected_clients", "gauge"},
	{"blocked_clients", "shakedown_redis_blocked_clients", "gauge"},
	{"total_connections_received", "shakedown_redis_connections_total", "counter"},
	{"total_commands_processed", "shakedown_redis_commands_total", "counter"},
	{"keyspace_hits", "shakedown_redis_keyspace_hits_total", "counter"},
	{"keyspace_misses", "shakedown_redis_keyspace_misses_total", "counter"},
	{"evicted_keys", "shakedown_redis_evicted_keys_total", "counter"},
	{"expired_keys", "shakedown_redis_expired_keys_total", "counter"},
	{"used_memory", "shakedown_redis_used_memory_bytes", "gauge"},
}

// Stats reads INFO. The asking itself counts as a command and a connection.
func (r *redisServer) Stats(ctx context.Context) ([]Stat, error) {
	info, err := r.info(ctx)
	if err != nil {
		return nil, fmt.Errorf("statistics of redis: %w", err)
	}
	stats := make([]Stat, 0, len(redisStats))
	for _, s := range redisStats {
		v, err := strconv.ParseFloat(info[s.field], 64)
		if err != nil {
			return nil, fmt.Errorf("statistics of redis: %s is %q", s.field, info[s.field])
		}
		stats = append(stats, Stat{Name: s.name, Type: s.kind, Value: v})
	}
	return stats, nil
}

func (r *redisServer) info(ctx context.Context) (map[string]string, error) {
	if err := r.reach(ctx); err != nil {
		return nil, err
	}
	text, err := r.client.Info(ctx).Result()
	if err != nil {
		return nil, err
	}
	return parseInfo(text), nil
}

// parseInfo reads the lines "field:value" of INFO.
func parseInfo(text string) map[string]string {
	info := map[string]string{}
	for line := range strings.Lines(text) {
		if field, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok && !strings.HasPrefix(field, "#") {
			info[field] = value
		}
	}
	return info
}
