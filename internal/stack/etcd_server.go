package stack

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"shakedown/chaos"
	"shakedown/chaos/disk"
)

// etcdServer is a running etcd. The harness asks it over HTTP, on a connection of its own for each question: a client of gRPC would
// wait before it dials a server again that was killed.
type etcdServer struct {
	name, version, source, url string
	hostAddr                   string
	network, address           string
	settings                   map[string]string
	client                     http.Client
	own                        *own // nil when attached
}

var (
	_ Instance       = (*etcdServer)(nil)
	_ Disked         = (*etcdServer)(nil)
	_ chaos.Skewable = etcdProcess{}
)

func newEtcd(name, network, address string) *etcdServer {
	e := &etcdServer{name: name, network: network, address: address}
	e.client.Transport = &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, e.network, e.address)
	}}
	return e
}

// Name is the server's name.
func (e *etcdServer) Name() string { return e.name }

// Kind is "etcd".
func (*etcdServer) Kind() string { return etcdKind{}.Name() }

// Ours is nil for a server of the run.
func (e *etcdServer) Ours() error { return ours(e.own) }

// Version is the server's version.
func (e *etcdServer) Version() string { return e.version }

// Source is where the server comes from.
func (e *etcdServer) Source() string { return e.source }

// Settings are those that were asked for.
func (e *etcdServer) Settings() map[string]string { return e.settings }

// URL is http://host:port, or etcd:///path of a unix socket.
func (e *etcdServer) URL() string { return e.url }

// URLVia is the proxy's address. etcd does not know its clients by name.
func (*etcdServer) URLVia(addr, _ string) string { return "http://" + addr }

// Dial is where the server listens.
func (e *etcdServer) Dial() (network, address string) { return e.network, e.address }

// HostAddr is where other hosts find the server.
func (e *etcdServer) HostAddr() string { return e.hostAddr }

// Healthy wants the member to have a leader, and to be able to commit.
func (e *etcdServer) Healthy(ctx context.Context) error {
	var said struct{ Health, Reason string }
	err := e.ask(ctx, http.MethodGet, "/health", nil, &said)
	if err == nil && said.Health != "true" {
		err = errors.New(cmp.Or(said.Reason, "it has no leader, or cannot write"))
	}
	if err != nil {
		return fmt.Errorf("%s does not answer: %w", e.name, withoutURL(err))
	}
	return nil
}

func (e *etcdServer) askVersion(ctx context.Context) (string, error) {
	var said struct {
		Server string `json:"etcdserver"`
	}
	if err := e.ask(ctx, http.MethodGet, "/version", nil, &said); err != nil {
		return "", err
	}
	if said.Server == "" {
		return "", errors.New("what answers there is no etcd")
	}
	return said.Server, nil
}

// ask sends a question in JSON, to etcd's own pages or to its gateway (etcd documentation, "gRPC gateway"), and reads the answer.
func (e *etcdServer) ask(ctx context.Context, method, path string, question, answer any) error {
	body, err := e.read(ctx, method, path, question)
	if err == nil {
		err = json.Unmarshal(body, answer)
	}
	return err
}

// maxAnswer bounds what is read of one answer; /metrics has some hundred KiB.
const maxAnswer = 8 << 20

func (e *etcdServer) read(ctx context.Context, method, path string, question any) ([]byte, error) {
	var asked bytes.Buffer
	if question != nil {
		if err := json.NewEncoder(&asked).Encode(question); err != nil {
			return nil, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://etcd"+path, &asked)
	if err != nil {
		return nil, err
	}
	res, err := e.client.Do(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %s: %.200s", path, res.Status, bytes.TrimSpace(body))
	}
	return body, nil
}

// Process is the server's process.
func (e *etcdServer) Process() chaos.Process {
	if e.own == nil {
		return foreign(e.name)
	}
	return etcdProcess{e.own}
}

// etcdProcess is a process whose clock cannot be changed.
type etcdProcess struct{ *own }

// CanSkew fails.
func (etcdProcess) CanSkew() error { return errGoClock }

// Skew fails.
func (etcdProcess) Skew(context.Context, chaos.Skew) error { return errGoClock }

// noTime is the answer to what etcd cannot be asked.
func noTime(context.Context) (time.Time, error) { return time.Time{}, errGoClock }

// Disk is the disk that its data is on.
func (e *etcdServer) Disk() *disk.Disk { return e.own.ownDisk() }

// Crashed says whether the run's own server died by itself.
func (e *etcdServer) Crashed() error {
	if e.own == nil {
		return nil
	}
	return e.own.crashed()
}

// Reset removes all keys and revokes all leases of the run's own server; an attached one is left as it is.
func (e *etcdServer) Reset(ctx context.Context) error {
	if e.own == nil {
		return nil
	}
	var held struct{ Leases []struct{ ID string } }
	err := e.ask(ctx, http.MethodPost, "/v3/lease/leases", struct{}{}, &held)
	for _, lease := range held.Leases {
		if err == nil {
			_, err = e.read(ctx, http.MethodPost, "/v3/lease/revoke", lease)
		}
	}
	if err == nil {
		every := base64.StdEncoding.EncodeToString([]byte{0}) // from the least key on; as the end it means without end
		_, err = e.read(ctx, http.MethodPost, "/v3/kv/deleterange", map[string]string{"key": every, "range_end": every})
	}
	if err != nil {
		return fmt.Errorf("emptying %s: %w", e.name, withoutURL(err))
	}
	return nil
}

// Stop ends the run's own server, and lets go of an attached one.
func (e *etcdServer) Stop(ctx context.Context) error {
	if e.own == nil {
		return nil
	}
	return e.own.stop(ctx)
}
