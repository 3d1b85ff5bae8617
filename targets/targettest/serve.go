package targettest

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"

	"shakedown/bench"
)

// Serve lets a service answer until the test ends, and returns its base URL. It does not wait until the service is ready.
func Serve(t testing.TB, service bench.Service) (url string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	served := make(chan error, 1)
	go func() { served <- service.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("the service did not end well: %v", err)
		}
	})
	return "http://" + ln.Addr().String()
}

// A Response is what a service answered.
type Response struct {
	Status int
	Header http.Header
	Body   string
}

// Get asks once, on a connection of its own.
func Get(t testing.TB, url string) Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return Response{res.StatusCode, res.Header, string(body)}
}
