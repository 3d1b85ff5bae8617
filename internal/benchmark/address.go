package benchmark

import (
	"context"
	"fmt"
	"net"
	"time"
)

// FreeAddr is an address of loopback that nobody listens on, for a program that must be told one.
func FreeAddr() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return ln.Addr().String(), ln.Close()
}

// patience is how long a program may take until it listens.
const patience = 5 * time.Second

// Reachable waits until somebody listens.
func Reachable(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err == nil {
			return c.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("nobody listens on %s: %w", addr, err)
		case <-again.C:
		}
	}
}
