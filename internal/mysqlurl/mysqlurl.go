// Package mysqlurl owns the form of addresses of MariaDB, mariadb://user:password@host:port/database, which its driver for Go does not
// take. Package stack writes them and services read them.
package mysqlurl

import (
	"errors"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

// Socket is the parameter that has the path of a unix socket, in place of a host.
const Socket = "socket"

// dialTimeout bounds the making of a connection, so that a dead server is an error, not a hang.
const dialTimeout = 2 * time.Second

var errForm = errors.New("the address cannot be read: it should look like mariadb://user:password@host:3306/database")

// Parse is the driver's configuration for an address. Its error does not repeat the address, which may hold a password.
func Parse(address string) (*mysql.Config, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "mariadb" || u.User == nil || strings.Trim(u.Path, "/") == "" {
		return nil, errForm
	}
	c := mysql.NewConfig()
	c.User = u.User.Username()
	c.Passwd, _ = u.User.Password()
	c.DBName = strings.Trim(u.Path, "/")
	c.Timeout, c.Logger = dialTimeout, &mysql.NopLogger{}
	switch socket := u.Query().Get(Socket); {
	case socket != "":
		c.Net, c.Addr = "unix", socket
	case u.Hostname() != "":
		port := u.Port()
		if port == "" {
			port = "3306"
		}
		c.Net, c.Addr = "tcp", net.JoinHostPort(u.Hostname(), port)
	default:
		return nil, errForm
	}
	return c, nil
}

// Host is the host that a configuration dials; of a unix socket there is none.
func Host(c *mysql.Config) string {
	host, _, err := net.SplitHostPort(c.Addr)
	if err != nil || c.Net != "tcp" {
		return ""
	}
	return host
}
