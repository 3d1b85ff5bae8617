package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"shakedown/chaos/proxy"
	"shakedown/chaos/proxy/api"
	"shakedown/chaos/proxy/intercept/protocols"
	"shakedown/chaos/proxy/toxiproxy"
)

// DefaultListen is where Toxiproxy listens too, so that its clients need no setting.
const DefaultListen = "127.0.0.1:8474"

// Options of the daemon.
type Options struct {
	// Listen is the address of the API; one that is not loopback's needs a token.
	Listen string
	// Config is a file with a list of proxies in Toxiproxy's JSON.
	Config string
	// Token is what callers from other machines show; RequireToken wants it of those on this one too.
	Token        string
	RequireToken bool
	// AllowTargets are hosts, beside loopback, that links may lead to and listen on; AllowHosts are names, beside
	// loopback's and Listen's own, that requests may be for.
	AllowTargets, AllowHosts []string
	// Seed is what toxics draw from; 0 is a random one.
	Seed uint64
}

// An OptionError says which option is wrong, and why.
type OptionError struct {
	Option string // the flag, "--listen"
	Err    error
}

func (e *OptionError) Error() string { return e.Option + ": " + e.Err.Error() }

// Unwrap is why.
func (e *OptionError) Unwrap() error { return e.Err }

// Run serves until ctx is done; every link and connection has ended when it returns. Once it listens, it says on out where,
// and which links there are. What is wrong with the options is an *OptionError.
func Run(ctx context.Context, out io.Writer, o Options) error {
	if err := o.check(); err != nil {
		return err
	}
	p, err := proxy.New(proxy.WithInspectors(protocols.All()))
	if err != nil {
		return err
	}
	defer p.Close()
	if o.Seed == 0 {
		o.Seed = rand.Uint64()
	}
	toxics := toxiproxy.New(p, toxiproxy.Options{Allow: o.allowProxy, Seed: o.Seed})
	s, err := api.NewServer(p, api.Config{
		Guard: o.guard(), AllowLink: o.allowLink, Rest: toxics,
		Metrics: []prometheus.Collector{toxiproxy.Metrics(p), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})},
	})
	if err != nil {
		return err
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", o.Listen)
	if err != nil {
		return &OptionError{"--listen", fmt.Errorf("%w; is a daemon running already?", err)}
	}
	if err := o.populate(ctx, toxics); err != nil {
		return errors.Join(err, ln.Close())
	}
	if err := say(out, ln.Addr(), p); err != nil {
		return errors.Join(err, ln.Close())
	}
	return s.Serve(ctx, ln)
}

// check says what is wrong before anything is started.
func (o Options) check() error {
	host, _, err := net.SplitHostPort(o.Listen)
	switch {
	case err != nil:
		return &OptionError{"--listen", err}
	case !loopback(host) && o.Token == "":
		return &OptionError{"--listen", fmt.Errorf("%s is not on loopback: other machines could hurt what runs here; "+
			"set a token in $%s that they must show", o.Listen, api.TokenEnv)}
	case o.RequireToken && o.Token == "":
		return &OptionError{"--require-token", fmt.Errorf("there is none; set it in $%s", api.TokenEnv)}
	}
	return nil
}

// guard lets in callers on this machine, unless they are to show the token too, and those that show it.
//
// Toxiproxy's clients cannot send a token, so on loopback none is wanted, as Toxiproxy has it: who can open sockets here
// can do as much to local servers without us. A page in a browser can open sockets here and must not; browsers are refused.
func (o Options) guard() api.Guard {
	own, _, _ := net.SplitHostPort(o.Listen) // it was checked
	g := api.Guard{Token: o.Token, Loopback: !o.RequireToken}
	if !loopback(own) {
		g.Hosts = func(host string) bool {
			// An address in place of a name is none that a page made resolve to this machine.
			_, err := netip.ParseAddr(host)
			return err == nil || host == own || slices.Contains(o.AllowHosts, host)
		}
	} else if len(o.AllowHosts) > 0 {
		g.Hosts = func(host string) bool { return slices.Contains(o.AllowHosts, host) }
	}
	return g
}

func (o Options) populate(ctx context.Context, toxics *toxiproxy.Handler) error {
	if o.Config == "" {
		return nil
	}
	file, err := os.Open(o.Config)
	if err != nil {
		return &OptionError{"--config", err}
	}
	defer func() { _ = file.Close() }()
	if err := toxics.Populate(ctx, file); err != nil {
		return &OptionError{"--config " + o.Config, err}
	}
	return nil
}

// say tells a person, or a script that waits for the first line, that the daemon is ready.
func say(out io.Writer, addr net.Addr, p *proxy.Proxy) error {
	_, err := fmt.Fprintf(out, "listening on http://%s, as Toxiproxy %s does\n", addr, toxiproxy.Version)
	for _, l := range p.Links() {
		_, oneErr := fmt.Fprintf(out, "link %s: %s → %s\n", l.Name(), l.Addr(), l.Spec().Address)
		err = errors.Join(err, oneErr)
	}
	return err
}
