package stack

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
)

// Hosts asks pgx, because an address has more than one place for a host: the authority, which may list several, the parameter
// host, which wins, and the environment, which fills in what is missing.
func (postgres) Hosts(address string) ([]string, error) {
	config, err := parsePostgres(address)
	if err != nil {
		return nil, err
	}
	var hosts []string
	add := func(host string) {
		if !strings.HasPrefix(host, "/") && !strings.HasPrefix(host, "@") { // unix sockets
			hosts = append(hosts, host)
		}
	}
	add(config.Host)
	for _, f := range config.Fallbacks {
		add(f.Host)
	}
	return hosts, nil
}

func parsePostgres(address string) (*pgx.ConnConfig, error) {
	const like = "it should look like postgres://user:password@host:5432/database"
	if !strings.HasPrefix(address, "postgres://") && !strings.HasPrefix(address, "postgresql://") {
		return nil, errors.New("the address cannot be read: " + like)
	}
	config, err := pgx.ParseConfig(address)
	if err != nil {
		return nil, errors.New("the address cannot be read: " + like)
	}
	return config, nil
}

// Hosts asks go-redis.
func (redisKind) Hosts(address string) ([]string, error) {
	options, err := redis.ParseURL(address)
	if err != nil {
		return nil, fmt.Errorf("the address cannot be read: %w; it should look like redis://user:password@host:6379/0", withoutURL(err))
	}
	if options.Network == "unix" {
		return nil, nil
	}
	host, _, err := net.SplitHostPort(options.Addr)
	if err != nil {
		return nil, errors.New("the address has no host; it should look like redis://user:password@host:6379/0")
	}
	return []string{host}, nil
}

// Hosts reads the one host of the address.
func (etcdKind) Hosts(address string) ([]string, error) {
	addr, err := parseEtcd(address)
	if err != nil {
		return nil, err
	}
	host, _, err := net.SplitHostPort(addr)
	return []string{host}, err
}

// parseEtcd reads http://host:port. Neither TLS nor a password is spoken.
func parseEtcd(address string) (addr string, err error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" || u.User != nil || u.Hostname() == "" || u.Port() == "" || u.Path != "" || u.RawQuery != "" {
		return "", errors.New("the address cannot be read: it should look like http://host:2379, without a password")
	}
	return u.Host, nil
}

// withoutPassword is an address fit for reports.
func withoutPassword(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "(unreadable address)"
	}
	if u.User != nil {
		u.User = url.User(u.User.Username())
	}
	q := u.Query()
	if q.Has("password") {
		q.Del("password")
		u.RawQuery = q.Encode()
	}
	return u.String()
}

// withoutURL strips the address, and the password in it, from an error of package net/url.
func withoutURL(err error) error {
	var urlErr *url.Error
	if errors.As(err, &urlErr) {
		return urlErr.Err
	}
	return err
}
