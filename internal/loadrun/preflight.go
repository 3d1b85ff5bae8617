package loadrun

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"shakedown/bench/run"
)

// knock is how long a server may take to answer the door.
const knock = 5 * time.Second

// tlsConfig is how https is spoken to the targets: with the system's certificates, those of a file, or none.
func tlsConfig(o Options) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: o.Insecure} //nolint:gosec // the user asked for it
	if o.CACert == "" {
		return c, nil
	}
	pem, err := os.ReadFile(o.CACert)
	if err != nil {
		return nil, fmt.Errorf("--cacert: %w", err)
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("--cacert %s: there is no certificate in it", o.CACert)
	}
	return c, nil
}

// reach makes sure that every HTTP server can be connected to and speaks the protocol, before anything is measured. It sends no request:
// a request would be one that no ledger knows. Databases are asked by their own clients.
func reach(ctx context.Context, targets []target, o Options, config *tls.Config) error {
	for _, t := range targets {
		if t.proto != protoHTTP {
			continue
		}
		if err := t.reach(ctx, t.http2 || o.HTTP2, config); err != nil {
			if ctx.Err() != nil {
				return aborted(ctx)
			}
			return &run.EnvironmentError{Err: fmt.Errorf("%s: %w", t.said, err)}
		}
	}
	return nil
}

func (t target) reach(ctx context.Context, http2 bool, config *tls.Config) error {
	ctx, cancel := context.WithTimeout(ctx, knock)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", t.addr)
	if errors.Is(err, syscall.ECONNRESET) {
		return nil // somebody is there, and rude: the load will tell
	}
	if err != nil {
		return unreachable(err)
	}
	defer func() { _ = conn.Close() }()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	switch {
	case t.secure:
		return handshake(ctx, conn, t, http2, config)
	case http2:
		return preface(conn)
	default:
		return nil
	}
}

// unreachable is a dial that failed, in a few words.
func unreachable(err error) error {
	var dns *net.DNSError
	var errno syscall.Errno
	switch {
	case errors.As(err, &dns):
		return fmt.Errorf("there is no host %s", dns.Name)
	case errors.As(err, &errno):
		return fmt.Errorf("cannot connect: %w", errno)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("cannot connect: no answer within %v", knock)
	default:
		return fmt.Errorf("cannot connect: %w", err)
	}
}

func handshake(ctx context.Context, conn net.Conn, t target, http2 bool, config *tls.Config) error {
	c := config.Clone()
	c.ServerName, _, _ = net.SplitHostPort(t.addr)
	c.NextProtos = []string{"http/1.1"}
	if http2 {
		c.NextProtos = []string{"h2"}
	}
	s := tls.Client(conn, c)
	err := s.HandshakeContext(ctx)
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &certificate):
		return fmt.Errorf("its certificate is not trusted: %w; --cacert FILE trusts it, --insecure does not look", certificate.Err)
	case errors.As(err, &record):
		return errors.New("it does not speak TLS; is it http://?")
	case err != nil && http2:
		return fmt.Errorf("no TLS handshake with HTTP/2: %w", err)
	case err != nil:
		return fmt.Errorf("no TLS handshake: %w", err)
	case http2 && s.ConnectionState().NegotiatedProtocol != "h2":
		return errors.New("it does not speak HTTP/2; leave --http2 out")
	}
	return nil
}

// preface begins HTTP/2 with prior knowledge: the client's preface and empty settings, to which a server answers with its own settings
// before anything else (RFC 9113, 3.4).
func preface(conn net.Conn) error {
	const settings = 4 // the type of the frame, its fourth byte
	if _, err := io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"+"\x00\x00\x00\x04\x00\x00\x00\x00\x00"); err != nil {
		return fmt.Errorf("it does not take HTTP/2: %w", err)
	}
	frame := make([]byte, 9)
	if _, err := io.ReadFull(conn, frame); err != nil || frame[3] != settings || bytes.HasPrefix(frame, []byte("HTTP/")) {
		return errors.New("it does not speak HTTP/2 in plaintext (h2c)")
	}
	return nil
}

// aborted is the error of a load that the user stopped.
func aborted(ctx context.Context) error {
	return fmt.Errorf("%w: %w", run.ErrAborted, context.Cause(ctx))
}
