package chaos

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// connOf connects to an engine that speaks RESP.
func connOf(ctx context.Context, e Engine) (RedisConn, error) {
	r, ok := e.(RedisEngine)
	if !ok {
		return nil, fmt.Errorf("%s gives no connections", e.Name())
	}
	return r.Connect(ctx)
}

// pingRedis asks for an answer on a connection of its own.
func pingRedis(ctx context.Context, e Engine) error {
	c, err := connOf(ctx, e)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	_, err = c.Do(ctx, "PING")
	return err
}

// redisInfo is a section of INFO.
func redisInfo(ctx context.Context, c RedisConn, section string) (map[string]string, error) {
	reply, err := c.Do(ctx, "INFO", section)
	if err != nil {
		return nil, err
	}
	text, _ := reply.(string)
	info := map[string]string{}
	for line := range strings.Lines(text) {
		if field, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[field] = value
		}
	}
	return info, nil
}

// redisStat is a number of INFO's section stats.
func redisStat(ctx context.Context, e Engine, field string) (int64, error) {
	c, err := connOf(ctx, e)
	if err != nil {
		return 0, err
	}
	defer func() { _ = c.Close() }()
	info, err := redisInfo(ctx, c, "stats")
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(info[field], 10, 64)
}
