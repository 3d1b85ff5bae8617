package loadrun

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"shakedown/internal/allow"
	"shakedown/internal/stack"
)

// The protocols that load can be sent in.
const (
	protoHTTP     = "http"
	protoPostgres = "postgres"
	protoRedis    = "redis"
)

// A target is one URL that load goes to.
type target struct {
	said   string // the URL without its password
	url    string // the URL as it was given, for the clients of databases
	proto  string
	secure bool // https
	http2  bool // the URL asks for it: h2c
	// These are of HTTP.
	host string // as the header Host has it
	addr string // host:port to dial
	path string // with the query; "/" at least. It may hold templates
	auth string // of the header Authorization, or nothing
}

const likeURL = "it should look like http://127.0.0.1:8080/path, https://…, h2c://…, postgres://… or redis://…"

// parseTarget understands one URL.
func parseTarget(raw string) (target, error) {
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok || rest == "" {
		return target{}, fmt.Errorf("%q is not a URL: %s", withoutPassword(raw), likeURL)
	}
	switch scheme = strings.ToLower(scheme); scheme {
	case "http", "https", "h2c":
		return parseHTTP(raw, scheme, rest)
	case "postgres", "postgresql":
		return target{said: withoutPassword(raw), url: raw, proto: protoPostgres}, nil
	case "redis", "rediss", "unix": // as go-redis has it: unix:// is a socket of Redis
		return target{said: withoutPassword(raw), url: raw, proto: protoRedis}, nil
	default:
		return target{}, fmt.Errorf("%s://: %s", scheme, likeURL)
	}
}

// parseHTTP leaves the path as it is, for it may hold templates, which no URL may.
func parseHTTP(raw, scheme, rest string) (target, error) {
	at := strings.IndexAny(rest, "/?#")
	if at < 0 {
		at = len(rest)
	}
	authority, path := rest[:at], rest[at:]
	path, _, _ = strings.Cut(path, "#")
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	t := target{proto: protoHTTP, secure: scheme == "https", http2: scheme == "h2c", path: path}
	u, err := url.Parse("http://" + authority)
	if err != nil || u.Hostname() == "" {
		return t, fmt.Errorf("%q has no host: %s", withoutPassword(raw), likeURL)
	}
	port := u.Port()
	switch {
	case port == "" && strings.HasSuffix(u.Host, ":"):
		return t, fmt.Errorf("%q has no port after the colon", withoutPassword(raw))
	case port == "":
		port = map[bool]string{true: "443", false: "80"}[t.secure]
	default:
		if _, err := net.LookupPort("tcp", port); err != nil {
			return t, fmt.Errorf("%q: %s is no port", withoutPassword(raw), port)
		}
	}
	t.host, t.addr = u.Host, net.JoinHostPort(u.Hostname(), port)
	if u.User != nil {
		password, _ := u.User.Password()
		t.auth = "Basic " + base64.StdEncoding.EncodeToString([]byte(u.User.Username()+":"+password))
		u.User = url.User(u.User.Username())
	}
	t.said = scheme + strings.TrimPrefix(u.String(), "http") + path
	return t, nil
}

// server is the URL without a path.
func (t target) server() string {
	if t.secure {
		return "https://" + t.host
	}
	return "http://" + t.host
}

// hosts are the machines that load would hit.
func (t target) hosts() ([]string, error) {
	if t.proto == protoHTTP {
		host, _, err := net.SplitHostPort(t.addr)
		return []string{host}, err
	}
	kind, err := stack.Lookup(t.proto)
	if err != nil {
		return nil, err
	}
	return kind.Hosts(t.url)
}

// parseTargets understands the URLs together, and refuses machines that the user did not name.
func parseTargets(o Options) ([]target, error) {
	if len(o.URLs) == 0 {
		return nil, errors.New("say where the load is to go: " + likeURL)
	}
	var all []target
	for _, raw := range o.URLs {
		t, err := parseTarget(raw)
		if err != nil {
			return nil, err
		}
		hosts, err := t.hosts()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.said, err)
		}
		if err := allow.Hosts(t.said, hosts, o.AllowTarget); err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, agree(all, o)
}

// agree makes sure that one client can serve all targets.
func agree(all []target, o Options) error {
	first := all[0]
	for _, t := range all[1:] {
		switch {
		case t.proto != protoHTTP:
			return fmt.Errorf("%s: several URLs are for HTTP only", t.said)
		case t.proto != first.proto || t.secure != first.secure || t.http2 != first.http2:
			return fmt.Errorf("%s and %s: several URLs must be of one scheme", first.said, t.said)
		case o.Requests == "" && t.path != first.path:
			return fmt.Errorf("%s and %s: several URLs share one path; give different ones in a file, --requests FILE", first.said, t.said)
		}
	}
	return nil
}

// withoutPassword is an address fit to be shown: what may be a password is crossed out.
func withoutPassword(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme == "" {
		head, rest, ok := strings.Cut(raw, "://")
		if !ok {
			head, rest = "", raw
		} else {
			head += "://"
		}
		if at := strings.LastIndex(rest, "@"); at >= 0 {
			rest = "…" + rest[at:]
		}
		return head + rest
	}
	if q := u.Query(); q.Has("password") {
		q.Set("password", "xxxxx")
		u.RawQuery = q.Encode()
	}
	return u.Redacted()
}
