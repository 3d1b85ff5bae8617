package api

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"shakedown/chaos"
	"shakedown/internal/units"
)

// A Client drives a proxy in another process. It is safe for concurrent use.
type Client struct {
	base, token string
	http        *http.Client
}

// Dial makes a client of the control API at a URL such as "http://127.0.0.1:4000", and checks that it answers.
func Dial(ctx context.Context, base, token string) (*Client, error) {
	// No proxy of the environment stands between the two, and redirects would carry the token away.
	c := &Client{
		base: strings.TrimSuffix(base, "/"), token: token,
		http: &http.Client{
			Transport:     &http.Transport{MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	if _, err := c.Links(ctx); err != nil {
		c.Close()
		return nil, fmt.Errorf("dialling the proxy at %s: %w", base, err)
	}
	return c, nil
}

// Close gives the client's idle connections back. The proxy and its links live on.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// CreateLink makes a link, or finds the one that is the same.
func (c *Client) CreateLink(ctx context.Context, spec LinkSpec) (*Link, error) {
	var made LinkInfo
	if err := c.call(ctx, http.MethodPut, path(spec.Name), spec, &made); err != nil {
		return nil, fmt.Errorf("creating link %s: %w", spec.Name, err)
	}
	return &Link{client: c, name: made.Name, addr: made.Addr, network: made.Network, protocol: made.Protocol}, nil
}

// DeleteLink closes a link and its connections.
func (c *Client) DeleteLink(ctx context.Context, name string) error {
	if err := c.call(ctx, http.MethodDelete, path(name), nil, nil); err != nil {
		return fmt.Errorf("deleting link %s: %w", name, err)
	}
	return nil
}

// Links are all links of the proxy, with the effects in force on them.
func (c *Client) Links(ctx context.Context) ([]LinkInfo, error) {
	var all []LinkInfo
	if err := c.call(ctx, http.MethodGet, "/v1/links", nil, &all); err != nil {
		return nil, fmt.Errorf("listing links: %w", err)
	}
	return all, nil
}

// Inject puts a fault in force, for a time unless that is 0; the proxy then heals it itself, whatever became of the caller.
func (c *Client) Inject(ctx context.Context, f chaos.Fault, lasts time.Duration) (FaultInfo, error) {
	var info FaultInfo
	ask := injectRequest{Fault: Fault{f}, For: units.Duration(lasts)}
	if err := c.call(ctx, http.MethodPost, "/v1/faults", ask, &info); err != nil {
		return info, fmt.Errorf("injecting %s: %w", f, err)
	}
	return info, nil
}

// Fault is a fault as it is now.
func (c *Client) Fault(ctx context.Context, id string) (FaultInfo, error) {
	var info FaultInfo
	err := c.call(ctx, http.MethodGet, "/v1/faults/"+url.PathEscape(id), nil, &info)
	return info, err
}

// Heal takes a fault back. One that was healed before is no error.
func (c *Client) Heal(ctx context.Context, id string) (FaultInfo, error) {
	var info FaultInfo
	if err := c.call(ctx, http.MethodDelete, "/v1/faults/"+url.PathEscape(id), nil, &info); err != nil {
		return info, fmt.Errorf("healing %s: %w", id, err)
	}
	return info, nil
}

// Faults are those that were injected, in order; some may be healed.
func (c *Client) Faults(ctx context.Context) ([]FaultInfo, error) {
	var all []FaultInfo
	if err := c.call(ctx, http.MethodGet, "/v1/faults", nil, &all); err != nil {
		return nil, fmt.Errorf("listing faults: %w", err)
	}
	return all, nil
}

// Open is the link of a name, which may not be there.
func (c *Client) Open(name string) *Link { return &Link{client: c, name: name} }

// Metrics are the proxy's metrics in Prometheus' text format.
func (c *Client) Metrics(ctx context.Context) ([]byte, error) {
	body, err := c.do(ctx, http.MethodGet, "/metrics", nil)
	if err != nil {
		return nil, fmt.Errorf("metrics of the proxy: %w", err)
	}
	return body, nil
}

// A Link is a link of a proxy in another process.
type Link struct {
	client              *Client
	name, addr, network string
	protocol            chaos.Protocol
}

var _ chaos.Link = (*Link)(nil)

// Name is the full name of the edge.
func (l *Link) Name() string { return l.name }

// Addr is the address that the link listens on.
func (l *Link) Addr() string { return l.addr }

// Network is what the link carries: "tcp", "unix" or "udp".
func (l *Link) Network() string { return cmp.Or(l.network, "tcp") }

// Shape puts an effect in force.
func (l *Link) Shape(ctx context.Context, id string, e chaos.Effect) error {
	if err := l.client.call(ctx, http.MethodPut, path(l.name, "effects", id), e, nil); err != nil {
		return fmt.Errorf("shaping link %s: %w", l.name, err)
	}
	return nil
}

// Clear removes an effect.
func (l *Link) Clear(ctx context.Context, id string) error {
	if err := l.client.call(ctx, http.MethodDelete, path(l.name, "effects", id), nil, nil); err != nil {
		return fmt.Errorf("clearing link %s: %w", l.name, err)
	}
	return nil
}

// Probe sends a probe inside the proxy; the exchange with the control API is no part of its times.
func (l *Link) Probe(ctx context.Context, giveUp time.Duration) (chaos.Probe, error) {
	var p chaos.Probe
	ask := probeRequest{GiveUp: units.Duration(giveUp)}
	if err := l.client.call(ctx, http.MethodPost, path(l.name, "probe"), ask, &p); err != nil {
		return p, fmt.Errorf("probing link %s: %w", l.name, err)
	}
	return p, nil
}

// Counters are cumulative since the link was made.
func (l *Link) Counters(ctx context.Context) (chaos.Counters, error) {
	var n chaos.Counters
	if err := l.client.call(ctx, http.MethodGet, path(l.name, "counters"), nil, &n); err != nil {
		return n, fmt.Errorf("counters of link %s: %w", l.name, err)
	}
	return n, nil
}

// path is the resource of a link, or one below it.
func path(parts ...string) string {
	var b strings.Builder
	b.WriteString("/v1/links")
	for _, p := range parts {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(p))
	}
	return b.String()
}

// call sends a body as JSON, when there is one, and reads the answer into a value, when one is wanted.
func (c *Client) call(ctx context.Context, method, path string, body, into any) error {
	var send []byte
	if body != nil {
		var err error
		if send, err = json.Marshal(body); err != nil {
			return err
		}
	}
	got, err := c.do(ctx, method, path, send)
	if err != nil || into == nil {
		return err
	}
	if err := json.Unmarshal(got, into); err != nil {
		return fmt.Errorf("answer of the proxy: %w", err)
	}
	return nil
}

func (c *Client) do(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 == 2 {
		return got, nil
	}
	var e errorBody
	if json.Unmarshal(got, &e) != nil || e.Error == "" {
		e.Error = "the proxy answered " + resp.Status
	}
	return nil, &Refusal{resp.StatusCode, e.Error}
}

// A Refusal is an answer of the proxy that says why it did not do what it was asked.
type Refusal struct {
	Status int
	Text   string
}

func (r *Refusal) Error() string { return r.Text }
