package loadrun

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"time"

	"shakedown/bench"
	"shakedown/bench/arrival"
	"shakedown/bench/load"
	"shakedown/bench/load/wire"
	"shakedown/internal/clock"
)

// The calibration: a closed loop of users who never think, on a server that does nothing, in this process.
const (
	ceilingUsers  = 64
	ceilingWarmup = 100 * time.Millisecond
	ceilingLength = 500 * time.Millisecond
)

// ceiling is how many requests a second this machine's generator can make at most, with a server on the same machine that answers at no
// cost to speak of. Those to a database are only paced, and not sent. A load near the ceiling measures the machine.
func (j *job) ceiling(ctx context.Context) (perS float64, err error) {
	measure := j.sending
	if j.first().proto != protoHTTP {
		measure = j.pacing
	}
	if perS, err = measure(ctx); err != nil {
		return 0, fmt.Errorf("calibrate: %w", err)
	}
	return perS, nil
}

func (j *job) sending(ctx context.Context) (perS float64, err error) {
	users := &bench.Closed{Users: ceilingUsers}
	p := load.Plan{
		Requests: j.work, Timeout: time.Second, Measure: true,
		Phases: []load.Phase{
			{End: ceilingWarmup, Closed: users}, {Start: ceilingWarmup, End: ceilingWarmup + ceilingLength, Closed: users, Judged: true},
		},
	}
	end, err := j.towardsNothing(&p)
	if err != nil {
		return 0, err
	}
	defer end()
	stats, err := load.Run(ctx, p)
	if err != nil {
		return 0, err
	}
	return float64(stats.Dist.Ledger.OK) / ceilingLength.Seconds(), nil
}

// pacing sends more arrivals than can be paced to a client that does nothing.
func (j *job) pacing(ctx context.Context) (perS float64, err error) {
	const rate, length = 1_000_000, ceilingLength / 2
	a, err := arrival.New(bench.Constant, rate, 0, length, 1)
	if err != nil {
		return 0, err
	}
	began := clock.Now()
	stats, err := load.Run(ctx, load.Plan{
		Requests: j.work, Client: nothing{}, Timeout: time.Second, Measure: true, Phases: []load.Phase{{End: length, Arrivals: a}},
	})
	if err != nil {
		return 0, err
	}
	return float64(stats.Ledger.OK) / (clock.Now() - began).Seconds(), nil
}

// towardsNothing gives the plan a client of the same kind as the load's, with a null server at its other end.
func (j *job) towardsNothing(p *load.Plan) (end func(), err error) {
	if j.first().secure || j.http2() {
		s, err := newNullHTTP(j.first().secure)
		if err != nil {
			return nil, err
		}
		return withClient(p, load.HTTPOptions{HTTP2: j.http2(), TLS: &tls.Config{InsecureSkipVerify: true}}, s.url, s.close) //nolint:gosec // its own server
	}
	s, err := newNullServer()
	if err != nil {
		return nil, err
	}
	if !j.plain() {
		return withClient(p, load.HTTPOptions{}, "http://"+s.addr, s.close)
	}
	p.Wire, err = load.NewWire(j.work, load.WireOptions{
		Targets: []wire.Target{{Addr: s.addr}}, Loops: j.o.Loops, Backend: wire.Backend(j.o.Backend),
	})
	return s.close, err
}

// withClient gives the plan a client of the server, and an end to both.
func withClient(p *load.Plan, o load.HTTPOptions, url string, end func()) (func(), error) {
	c, err := load.NewHTTPClientWith(o, url)
	if err != nil {
		end()
		return nil, err
	}
	p.Client = c
	return func() { c.Close(); end() }, nil
}

// nothing answers at once, without a server.
type nothing struct{}

func (nothing) Do(context.Context, uint64, bench.Request, time.Duration) load.Answer {
	return load.Answer{Outcome: bench.OK}
}

// A nullHTTP is a null server for what only the standard library speaks here: TLS and HTTP/2.
type nullHTTP struct {
	url    string
	server *http.Server
	done   chan struct{}
}

func newNullHTTP(secure bool) (*nullHTTP, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &nullHTTP{url: "http://" + ln.Addr().String(), done: make(chan struct{}), server: &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			_, _ = w.Write([]byte("ok"))
		}),
		ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: time.Minute, Protocols: new(http.Protocols),
	}}
	s.server.Protocols.SetHTTP1(true)
	s.server.Protocols.SetHTTP2(true)
	s.server.Protocols.SetUnencryptedHTTP2(true)
	serve := s.server.Serve
	if secure {
		certificate, err := selfSigned()
		if err != nil {
			return nil, errors.Join(err, ln.Close())
		}
		s.url = "https://" + ln.Addr().String()
		s.server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
		serve = func(ln net.Listener) error { return s.server.ServeTLS(ln, "", "") }
	}
	go func() {
		defer close(s.done)
		_ = serve(ln) // it ends when the server is closed
	}()
	return s, nil
}

func (s *nullHTTP) close() {
	_ = s.server.Close()
	<-s.done
}

// selfSigned is a certificate for the length of a calibration.
func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
