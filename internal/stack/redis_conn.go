package stack

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"

	"shakedown/chaos"
)

var (
	_ chaos.RedisEngine = (*redisServer)(nil)
	_ chaos.Member      = (*redisServer)(nil)
)

// Ours is nil for a server of the run.
func (r *redisServer) Ours() error { return ours(r.own) }

// Group is that of the server and those that follow it, or nil.
func (r *redisServer) Group() chaos.Group { return r.group.orNil() }

func (r *redisServer) joined(g *Group) { r.group = g }

// Connect opens a connection of its own to a server of the run. It is no client of go-redis: one of those neither sends
// without waiting for the answer nor understands a connection that monitors.
func (r *redisServer) Connect(ctx context.Context) (chaos.RedisConn, error) {
	if err := r.Ours(); err != nil {
		return nil, fmt.Errorf("a connection to %s: %w", r.name, err)
	}
	conn, err := new(net.Dialer).DialContext(ctx, r.network, r.address)
	if err != nil {
		return nil, fmt.Errorf("a connection to %s: %w", r.name, err)
	}
	return &respConn{conn: conn, in: bufio.NewReader(conn)}, nil
}

// respConn speaks RESP2 (redis.io/docs/latest/develop/reference/protocol-spec).
type respConn struct {
	conn net.Conn
	in   *bufio.Reader
}

// Do sends a command and returns its reply.
func (c *respConn) Do(ctx context.Context, args ...string) (any, error) {
	if err := c.Send(ctx, args...); err != nil {
		return nil, err
	}
	return c.Receive(ctx)
}

// Send sends a command as an array of bulk strings.
func (c *respConn) Send(ctx context.Context, args ...string) error {
	defer c.bound(ctx)()
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	if _, err := io.WriteString(c.conn, b.String()); err != nil {
		return c.why(ctx, err)
	}
	return nil
}

// monitored is what a connection that monitors is told of others' commands.
var monitored = regexp.MustCompile(`^[0-9]+\.[0-9]+ \[`)

// Receive returns the reply that comes next.
func (c *respConn) Receive(ctx context.Context) (any, error) {
	defer c.bound(ctx)()
	for {
		reply, err := c.read(0)
		if err != nil {
			return nil, c.why(ctx, err)
		}
		if said, ok := reply.(simple); !ok || !monitored.MatchString(string(said)) {
			return plain(reply)
		}
	}
}

// Close ends the connection.
func (c *respConn) Close() error { return c.conn.Close() }

// bound ends what is under way on the connection when ctx ends.
func (c *respConn) bound(ctx context.Context) (release func()) {
	_ = c.conn.SetDeadline(time.Time{})
	stop := context.AfterFunc(ctx, func() { _ = c.conn.SetDeadline(time.Unix(1, 0)) })
	return func() { stop() }
}

func (c *respConn) why(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// simple is a simple string, which only "OK" and the lines of MONITOR are.
type simple string

// plain is a reply without what only the parser tells apart. An error of the server is an error.
func plain(reply any) (any, error) {
	switch r := reply.(type) {
	case chaos.ReplyError:
		return nil, r
	case simple:
		return string(r), nil
	case []any:
		for i := range r {
			if s, ok := r[i].(simple); ok {
				r[i] = string(s)
			}
		}
	}
	return reply, nil
}

const (
	mostDepth = 8       // of arrays in each other
	mostItems = 1 << 20 // of an array
	mostBytes = 1 << 29 // of a string, as Redis bounds it
)

// read parses one reply.
func (c *respConn) read(depth int) (any, error) {
	line, err := c.in.ReadString('\n')
	if err != nil {
		return nil, err
	}
	line = strings.TrimRight(line, "\r\n")
	if line == "" || depth > mostDepth {
		return nil, fmt.Errorf("the server answered %q", line)
	}
	switch rest := line[1:]; line[0] {
	case '+':
		return simple(rest), nil
	case '-':
		return chaos.ReplyError(rest), nil
	case ':':
		return strconv.ParseInt(rest, 10, 64)
	case '$':
		return c.bulk(rest)
	case '*':
		return c.array(rest, depth)
	}
	return nil, fmt.Errorf("the server answered %q", line)
}

func (c *respConn) bulk(size string) (any, error) {
	n, err := length(size, mostBytes)
	if err != nil || n < 0 {
		return nil, err
	}
	raw := make([]byte, n+len("\r\n"))
	if _, err := io.ReadFull(c.in, raw); err != nil {
		return nil, err
	}
	return string(raw[:n]), nil
}

func (c *respConn) array(size string, depth int) (any, error) {
	n, err := length(size, mostItems)
	if err != nil || n < 0 {
		return nil, err
	}
	items := make([]any, n)
	for i := range items {
		if items[i], err = c.read(depth + 1); err != nil {
			return nil, err
		}
	}
	return items, nil
}

// length is -1 for a missing value.
func length(text string, most int) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < -1 || n > most {
		return 0, errors.Join(fmt.Errorf("the server announced %q", text), err)
	}
	return n, nil
}
