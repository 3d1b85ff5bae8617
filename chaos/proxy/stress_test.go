package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"

	"shakedown/chaos"
	"shakedown/internal/units"
)

// stream is a pseudo-random byte stream that its reader can predict.
func stream(seed uint64) io.Reader {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	return rand.NewChaCha8(key)
}

// talk writes one stream and expects another, both of size bytes, at the same time.
func talk(c halfCloser, out, in uint64, size int64) error {
	var writing sync.WaitGroup
	var wrote error
	writing.Go(func() {
		if _, wrote = io.CopyN(c, stream(out), size); wrote == nil {
			wrote = c.CloseWrite()
		}
	})
	defer writing.Wait()
	got, want := make([]byte, 8<<10), make([]byte, 8<<10)
	expect := stream(in)
	var total int64
	var end error
	for end == nil {
		var n int
		n, end = c.Read(got)
		_, _ = io.ReadFull(expect, want[:n]) // never fails
		if string(got[:n]) != string(want[:n]) {
			return fmt.Errorf("bytes %d to %d are not those that were sent", total, total+int64(n))
		}
		total += int64(n)
	}
	writing.Wait()
	if total != size || !errors.Is(end, io.EOF) || wrote != nil {
		return fmt.Errorf("%d of %d bytes arrived, ending with %w; writing: %w", total, size, end, wrote)
	}
	return nil
}

func TestNoByteIsLostDoubledOrReorderedWhileEffectsComeAndGo(t *testing.T) {
	const conns, size = 20, 2 << 20
	var serving sync.WaitGroup
	serving.Add(conns)
	addr := startServer(t, "tcp", "127.0.0.1:0", func(c halfCloser) {
		defer serving.Done()
		var id [1]byte
		if _, err := io.ReadFull(c, id[:]); err != nil {
			t.Error(err)
			return
		}
		if err := talk(c, 100+uint64(id[0]), uint64(id[0]), size); err != nil {
			t.Errorf("server of connection %d: %v", id[0], err)
		}
	})
	l := newTestLink(t, "tcp", addr)
	ctx, cancel := context.WithCancel(context.Background())
	var churn, talking sync.WaitGroup
	churn.Go(func() { disturb(ctx, t, l, rand.New(rand.NewPCG(1, 2))) })
	for id := range uint64(conns) {
		talking.Go(func() {
			c, err := net.Dial("tcp", l.Addr())
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = c.Close() }()
			if _, err := c.Write([]byte{byte(id)}); err != nil {
				t.Error(err)
			}
			if err := talk(c.(halfCloser), id, 100+id, size); err != nil {
				t.Errorf("client of connection %d: %v", id, err)
			}
		})
	}
	talking.Wait()
	serving.Wait() // a client that has sent everything does not know that it arrived
	cancel()
	churn.Wait()
}

// disturb sets and clears random effects until ctx is done, and then leaves none.
func disturb(ctx context.Context, t *testing.T, l *Link, rng *rand.Rand) {
	ids := []string{"a", "b", "c", "d"}
	directions := []chaos.Direction{chaos.Both, chaos.Upstream, chaos.Downstream}
	for ctx.Err() == nil {
		id := ids[rng.IntN(len(ids))]
		e := chaos.Effect{Direction: directions[rng.IntN(3)], Seed: rng.Uint64()}
		switch rng.IntN(4) {
		case 0:
			e.Delay = units.Duration(rng.Int64N(int64(3 * units.Millisecond)))
			e.Jitter = units.Duration(rng.Int64N(int64(2 * units.Millisecond)))
		case 1:
			e.BytesPerSecond = 4<<20 + rng.Int64N(64<<20)
		case 2:
			e.Hold = true
		}
		shape(t, l, id, e)
		if _, err := l.Probe(context.Background(), 1e6); err != nil { // paces the loop, and meets every plan
			t.Error(err)
		}
		if rng.IntN(2) == 0 || e.Hold {
			unshape(t, l, id)
		}
	}
	for _, id := range ids {
		unshape(t, l, id)
	}
}
