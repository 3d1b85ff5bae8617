package load

import (
	"crypto/tls"
	"fmt"
	"net/http"
)

// HTTPOptions are how an HTTPClient connects. Their zero value is that of NewHTTPClient.
type HTTPOptions struct {
	// Connections is the most connections to all servers together; a request beyond them waits for one. 0 means as many as it takes.
	Connections int
	// HTTP2 speaks HTTP/2 and nothing else: over TLS, or in plaintext with prior knowledge (RFC 9113, 3.3). Requests then share
	// connections, as many to each as the server allows.
	HTTP2 bool
	// TLS is of https URLs; nil means the system's certificates.
	TLS *tls.Config
}

// NewHTTPClientWith is NewHTTPClient with options. It fails when there are fewer connections than servers.
func NewHTTPClientWith(o HTTPOptions, bases ...string) (*HTTPClient, error) {
	if o.Connections < 0 || o.Connections > 0 && o.Connections < len(bases) {
		return nil, fmt.Errorf("load: %d servers need as many connections, got %d", len(bases), o.Connections)
	}
	c, err := NewHTTPClient(bases...)
	if err != nil {
		return nil, err
	}
	c.transport.MaxConnsPerHost = o.Connections / len(bases)
	if o.TLS != nil {
		c.transport.TLSClientConfig = o.TLS.Clone()
	}
	if o.HTTP2 {
		c.multiplexed = true
		c.transport.TLSNextProto = nil
		c.transport.Protocols = new(http.Protocols)
		c.transport.Protocols.SetHTTP2(true)
		c.transport.Protocols.SetUnencryptedHTTP2(true)
	}
	return c, nil
}
