package stack

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestParseVersion(t *testing.T) {
	for _, tc := range []struct {
		pattern    *regexp.Regexp
		text, want string
	}{
		{pgVersion, "postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n", "15.14"},
		{pgVersion, "postgres (PostgreSQL) 17beta2\n", "17beta2"},
		{pgVersion, "postgres (PostgreSQL) 18devel\n", "18devel"},
		{pgVersion, "psql: error\n", ""},
		{redisVersion, "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=d\n", "7.0.15"},
		{redisVersion, "Redis server v=8.0-rc1 sha=0\n", "8.0-rc1"},
		{redisVersion, "", ""},
		{etcdVersion, "etcd Version: 3.4.23\nGit SHA: Not provided\n", "3.4.23"},
		{mariadbVersion, "mariadbd  Ver 10.11.19-MariaDB-0+deb12u1 for debian-linux-gnu on x86_64 (Debian 12)\n", "10.11.19"},
		{mariadbVersion, "mysqld  Ver 8.0.34 for Linux on x86_64 (MySQL Community Server - GPL)\n", ""},
		{etcdVersion, "etcdctl version: 3.4.23\n", ""},
	} {
		got, err := parseVersion(tc.text, tc.pattern)
		if got != tc.want || (err == nil) != (tc.want != "") {
			t.Errorf("%q: got %q, %v; want %q", tc.text, got, err, tc.want)
		}
	}
}

func TestNewestFirst(t *testing.T) {
	dirs := []string{"/usr/lib/postgresql/9.6/bin", "/usr/lib/postgresql/17/bin", "/usr/lib/postgresql/15/bin", "/usr/lib/postgresql/10/bin"}
	slices.SortFunc(dirs, newestFirst)
	want := []string{"/usr/lib/postgresql/17/bin", "/usr/lib/postgresql/15/bin", "/usr/lib/postgresql/10/bin", "/usr/lib/postgresql/9.6/bin"}
	if !slices.Equal(dirs, want) {
		t.Errorf("got %q", dirs)
	}
}

func TestSearchTakesTheNewestThatIsWhole(t *testing.T) {
	t.Setenv("PATH", "")
	base := t.TempDir()
	for file, mode := range map[string]os.FileMode{
		"18/postgres": 0o755,                     // without initdb
		"17/postgres": 0o644, "17/initdb": 0o755, // not executable
		"16/postgres": 0o755, "16/initdb": 0o755,
		"9/postgres": 0o755, "9/initdb": 0o755,
	} {
		path := filepath.Join(base, file)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, nil, mode)); err != nil {
			t.Fatal(err)
		}
	}
	if got, ok := search("postgres", []string{"initdb"}, filepath.Join(base, "*")); !ok || filepath.Dir(got) != filepath.Join(base, "16") {
		t.Errorf("found %q, %v; want the one in 16", got, ok)
	}
	if got, ok := search("no-such-program", nil, filepath.Join(base, "*")); ok {
		t.Errorf("found %q", got)
	}
}

func TestAMissingEngineSaysHowToInstallIt(t *testing.T) {
	err := error(&MissingError{Engine: "redis", Programs: []string{"redis-server"}, Packages: map[string]string{
		"Debian/Ubuntu": "apt-get install redis-server", "macOS": "brew install redis",
	}})
	const want = "redis is not installed (no redis-server on PATH or in the usual folders); " +
		"install it with Debian/Ubuntu: apt-get install redis-server; macOS: brew install redis, or give a server with --redis-url"
	if err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
}

func TestLookup(t *testing.T) {
	for _, k := range Kinds() {
		got, err := Lookup(k.Name())
		if err != nil || got != k {
			t.Errorf("Lookup(%q) = %v, %v", k.Name(), got, err)
		}
	}
	if _, err := Lookup("oracle"); err == nil || !strings.Contains(err.Error(), "postgres, redis, etcd, rabbitmq, nats, mariadb") {
		t.Errorf("got %v", err)
	}
}

func TestWordsPickTheComplaintOutOfALog(t *testing.T) {
	for _, tc := range []struct {
		name  string
		words func([]string) string
		log   string
		want  string
	}{
		{"postgres, fatal", pgWords, "2025-01-01 UTC [1] LOG:  starting\n2025-01-01 UTC [1] FATAL:  no\n2025-01-01 UTC [1] HINT:  try", "FATAL:  no | HINT:  try"},
		{"postgres, nothing grave", pgWords, "a\nb", "a | b"},
		{"postgres, a client turned away", pgWords, "x FATAL:  the database system is starting up\nx PANIC:  disk", "PANIC:  disk"},
		{"redis, configuration", redisWords, "\n*** FATAL CONFIG FILE ERROR (Redis 7) ***\n>>> 'x'\nBad directive", "*** FATAL CONFIG FILE ERROR (Redis 7) *** | >>> 'x' | Bad directive"},
		{"redis, warning", redisWords, "1:M * fine\n1:M # no memory\n1:M * bye", "1:M # no memory"},
		{"redis, silent", redisWords, "", ""},
		{"mariadb, an error", mariadbWords, "2026-01-01 0 [Note] fine\n2026-01-01 0 [ERROR] mariadbd: unknown variable 'x=1'\n2026-01-01 0 [ERROR] Aborting", "mariadbd: unknown variable 'x=1'"},
		{"mariadb, nothing grave", mariadbWords, "a\nb", "a | b"},
		{"etcd, a flag", etcdWords, "flag provided but not defined: -x\nUsage:\n\n  etcd [flags]", "flag provided but not defined: -x"},
		{"etcd, grave", etcdWords, `{"level":"info","msg":"fine"}` + "\n" + `{"level":"fatal","msg":"discovery failed","error":"bind: in use"}`, "discovery failed: bind: in use"},
		{"etcd, panic", etcdWords, `{"level":"info","msg":"fine"}` + "\npanic: no\ngoroutine 1 [running]:", "panic: no"},
		{"etcd, nothing grave", etcdWords, `{"level":"info","msg":"fine"}`, `{"level":"info","msg":"fine"}`},
	} {
		if got := tc.words(strings.Split(tc.log, "\n")); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestWithoutPassword(t *testing.T) {
	for address, want := range map[string]string{
		"postgres://u:p@h:1/d?sslmode=disable": "postgres://u@h:1/d?sslmode=disable",
		"postgres://h/d?user=u&password=p":     "postgres://h/d?user=u",
		"redis://:p@h:1/0":                     "redis://@h:1/0",
		"redis://h:1/0":                        "redis://h:1/0",
		"redis://u:p@h:po rt":                  "(unreadable address)",
	} {
		if got := withoutPassword(address); got != want {
			t.Errorf("%s: got %s, want %s", address, got, want)
		}
	}
}
