package stack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"shakedown/chaos"
	"shakedown/chaos/disk"
)

// pgServer is a running PostgreSQL. It keeps one connection for its own questions: when the clients have taken every slot,
// the server is busy, not unhealthy.
type pgServer struct {
	name, version, source, url string
	hostAddr                   string
	config                     *pgx.ConnConfig
	settings                   map[string]string
	own                        *own   // nil when attached
	group                      *Group // nil when alone

	asking chan struct{} // holds one token; whoever has it may use conn
	conn   *pgx.Conn     // nil until asked, and after an error
}

var (
	_ Instance     = (*pgServer)(nil)
	_ MemoryReader = (*pgServer)(nil)
	_ Disked       = (*pgServer)(nil)
)

// ownURL leads to the socket in the directory. pgx takes the directory as the parameter host.
func ownURL(dir, password string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(pgUser, password), Path: "/" + pgDB}
	u.RawQuery = url.Values{"host": {dir}, "port": {pgPort}, "sslmode": {"disable"}}.Encode()
	return u.String()
}

func newServer(name, address string) (*pgServer, error) {
	config, err := parsePostgres(address)
	if err != nil {
		return nil, err
	}
	config.Fallbacks = nil // one address, one answer
	config.RuntimeParams["application_name"] = pgHarness
	s := &pgServer{name: name, url: address, config: config, asking: make(chan struct{}, 1)}
	s.asking <- struct{}{}
	return s, nil
}

// Attach connects to the PostgreSQL at the address: postgres://user:password@host:port/database.
func (postgres) Attach(ctx context.Context, address string) (Instance, error) {
	s, err := newServer("postgres", address)
	if err != nil {
		return nil, fmt.Errorf("--postgres-url: %w", err)
	}
	s.source = withoutPassword(address)
	if err := s.ask(ctx, func(c *pgx.Conn) error { return c.QueryRow(ctx, "SHOW server_version").Scan(&s.version) }); err != nil {
		return nil, fmt.Errorf("postgres at %s: %w", s.source, s.plain(err))
	}
	s.version, _, _ = strings.Cut(s.version, " ") // "15.14 (Debian 15.14-0+deb12u1)"
	return s, nil
}

// plain says in one line why the server could not be used; pgx says it in several, with every address it tried.
func (s *pgServer) plain(err error) error {
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch pgErr.Code { // PostgreSQL manual, appendix A
		case "28P01":
			return fmt.Errorf("wrong user or password: %s", pgErr.Message)
		case "3D000":
			return fmt.Errorf("there is no such database: %s", pgErr.Message)
		}
		return fmt.Errorf("%s (SQLSTATE %s)", pgErr.Message, pgErr.Code)
	}
	if opErr, ok := errors.AsType[*net.OpError](err); ok {
		return fmt.Errorf("it cannot be reached: %w", opErr)
	}
	return errors.New(oneLine(strings.Split(err.Error(), "\n")))
}

// ask lends the one connection to f, and replaces it after an error. A server that was killed since is met by the first try.
func (s *pgServer) ask(ctx context.Context, f func(*pgx.Conn) error) error {
	select {
	case <-s.asking:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { s.asking <- struct{}{} }()
	kept := s.conn != nil
	err := s.askOnce(ctx, f)
	if err != nil && kept && ctx.Err() == nil {
		err = s.askOnce(ctx, f)
	}
	return err
}

func (s *pgServer) askOnce(ctx context.Context, f func(*pgx.Conn) error) error {
	if s.conn == nil {
		conn, err := pgx.ConnectConfig(ctx, s.config)
		if err != nil {
			return err
		}
		s.conn = conn
	}
	err := f(s.conn)
	if err != nil {
		_ = s.conn.Close(ctx)
		s.conn = nil
	}
	return err
}

// close lets go of the kept connection.
func (s *pgServer) close(ctx context.Context) error {
	select {
	case <-s.asking:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { s.asking <- struct{}{} }()
	if s.conn != nil {
		_ = s.conn.Close(ctx) // a server that is gone cannot be told
		s.conn = nil
	}
	return nil
}

// Name is the server's name.
func (s *pgServer) Name() string { return s.name }

// Kind is "postgres".
func (*pgServer) Kind() string { return postgres{}.Name() }

// Version is the server's version.
func (s *pgServer) Version() string { return s.version }

// Source is where the server comes from.
func (s *pgServer) Source() string { return s.source }

// Settings are those that were asked for.
func (s *pgServer) Settings() map[string]string { return s.settings }

// URL is what pgx.ParseConfig takes.
func (s *pgServer) URL() string { return s.url }

// Dial is where the server listens.
func (s *pgServer) Dial() (network, address string) {
	port := strconv.Itoa(int(s.config.Port))
	if strings.HasPrefix(s.config.Host, "/") {
		return "unix", filepath.Join(s.config.Host, ".s.PGSQL."+port)
	}
	return "tcp", net.JoinHostPort(s.config.Host, port)
}

// HostAddr is where other hosts find the server.
func (s *pgServer) HostAddr() string { return s.hostAddr }

// URLVia is URL with the proxy's address in place of the server's, and the client's name as its application_name unless the user
// gave one. The user's other parameters stay.
func (s *pgServer) URLVia(addr, client string) string { return pgURLVia(s.url, addr, client) }

func pgURLVia(direct, addr, client string) string {
	u, err := url.Parse(direct)
	if err != nil {
		return direct // cannot be: pgx has parsed it
	}
	q := u.Query()
	q.Del("host")
	q.Del("port")
	if client != "" && !q.Has("application_name") {
		q.Set("application_name", client)
	}
	u.Host, u.RawQuery = addr, q.Encode()
	return u.String()
}

// Healthy asks for a row.
func (s *pgServer) Healthy(ctx context.Context) error {
	var one int
	if err := s.ask(ctx, func(c *pgx.Conn) error { return c.QueryRow(ctx, "SELECT 1").Scan(&one) }); err != nil {
		return fmt.Errorf("%s does not answer: %w", s.name, s.plain(err))
	}
	return nil
}

// now is the time that the server has: not that of the transaction, which begins earlier.
func (s *pgServer) now(ctx context.Context) (t time.Time, err error) {
	err = s.ask(ctx, func(c *pgx.Conn) error { return c.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&t) })
	return t, err
}

// Process is the server's process.
func (s *pgServer) Process() chaos.Process {
	if s.own == nil {
		return foreign(s.name)
	}
	return s.own
}

// Disk is the disk that its data is on.
func (s *pgServer) Disk() *disk.Disk { return s.own.ownDisk() }

// Crashed says whether the run's own server died by itself.
func (s *pgServer) Crashed() error {
	if s.own == nil {
		return nil
	}
	return s.own.crashed()
}

// Reset does nothing: each pattern's Seed replaces its tables.
func (*pgServer) Reset(context.Context) error { return nil }

// Stop ends the run's own server, and lets go of an attached one.
func (s *pgServer) Stop(ctx context.Context) error {
	err := s.close(ctx)
	if s.own != nil {
		err = errors.Join(err, s.own.stop(ctx))
	}
	return err
}
