package benchmark

import (
	"context"
	"errors"
	"net"
	"testing"
)

func TestAnAddressIsFreeUntilSomebodyListens(t *testing.T) {
	addr, err := FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Reachable(gone, addr); !errors.Is(err, context.Canceled) {
		t.Errorf("of nobody: %v", err)
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	if err := Reachable(t.Context(), addr); err != nil {
		t.Error(err)
	}
}
