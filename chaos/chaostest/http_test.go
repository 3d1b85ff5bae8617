package chaostest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"shakedown/chaos"
)

// HTTP has a real server, which says the body of a request back twice, and clients that ask it.
var HTTP = &Stand{Name: "http", Build: speaking(chaos.HTTP, func(t *testing.T) (network, address string, c client) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // one that is cut off is the fault's doing
		_, _ = w.Write(body)
		_ = http.NewResponseController(w).Flush() // so that the body is chunked
		_, _ = w.Write(body)
	}))
	t.Cleanup(s.Close)
	a := &askers{transports: map[int]*http.Transport{}}
	t.Cleanup(func() { _ = a.check(context.Background()) })
	return "tcp", s.Listener.Addr().String(), a
})}

type askers struct {
	mu         sync.Mutex
	transports map[int]*http.Transport // by worker
}

func (a *askers) transport(worker int) *http.Transport {
	a.mu.Lock()
	defer a.mu.Unlock()
	t, ok := a.transports[worker]
	if !ok {
		t = &http.Transport{}
		a.transports[worker] = t
	}
	return t
}

// exchange is a request. What comes back is whole and right, an error that was asked for, or the end of the connection.
func (a *askers) exchange(ctx context.Context, addr string, worker int) (Harm, error) {
	text := strings.Repeat(fmt.Sprint(worker), 600)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+"/say/it", strings.NewReader(text))
	if err != nil {
		return Harmless, err
	}
	resp, err := a.transport(worker).RoundTrip(req)
	if err != nil {
		return Cuts, err
	}
	defer func() { _ = resp.Body.Close() }()
	got, err := io.ReadAll(resp.Body)
	switch {
	case resp.StatusCode == http.StatusServiceUnavailable && err == nil:
		return Errs, fmt.Errorf("the server says %s", resp.Status)
	case err != nil && strings.HasPrefix(text+text, string(got)):
		return Cuts, err
	case err != nil || string(got) != text+text:
		return Harmless, fmt.Errorf("%d bytes came back as %d that are not theirs, %w", len(text), len(got), err)
	}
	return Harmless, nil
}

func (a *askers) check(context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, t := range a.transports {
		t.CloseIdleConnections()
	}
	return nil
}
