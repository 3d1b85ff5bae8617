package loadrun

import (
	"strings"
	"testing"
)

func TestAURLIsUnderstood(t *testing.T) {
	for raw, want := range map[string]target{
		"http://127.0.0.1:8080":    {said: "http://127.0.0.1:8080/", host: "127.0.0.1:8080", addr: "127.0.0.1:8080", path: "/"},
		"http://localhost/a?b=c#d": {said: "http://localhost/a?b=c", host: "localhost", addr: "localhost:80", path: "/a?b=c"},
		"HTTPS://[::1]/x":          {said: "https://[::1]/x", host: "[::1]", addr: "[::1]:443", path: "/x", secure: true},
		"h2c://localhost:81/":      {said: "h2c://localhost:81/", host: "localhost:81", addr: "localhost:81", path: "/", http2: true},
		"http://localhost?q=1":     {said: "http://localhost/?q=1", host: "localhost", addr: "localhost:80", path: "/?q=1"},
		"http://localhost/i/{{uniform 1 9}}?x={key}": {
			said: "http://localhost/i/{{uniform 1 9}}?x={key}", host: "localhost", addr: "localhost:80", path: "/i/{{uniform 1 9}}?x={key}",
		},
		"http://me:hidden@localhost/": {said: "http://me@localhost/", host: "localhost", addr: "localhost:80", path: "/", auth: "Basic bWU6aGlkZGVu"},
	} {
		want.proto = protoHTTP
		if got, err := parseTarget(raw); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", raw, got, err, want)
		}
	}
}

func TestAURLThatMakesNoSenseIsRefused(t *testing.T) {
	for _, tc := range []struct {
		urls []string
		want string
	}{
		{nil, "say where the load is to go"},
		{[]string{"localhost:8080"}, "is not a URL"},
		{[]string{"http://"}, "is not a URL"},
		{[]string{"http:///x"}, "has no host"},
		{[]string{"http://localhost:http-ish/"}, "has no host"},
		{[]string{"http://localhost:99999/"}, "99999 is no port"},
		{[]string{"http://localhost:/"}, "no port after the colon"},
		{[]string{"http://a b/"}, "has no host"},
		{[]string{"ftp://localhost/"}, "ftp://: it should look like"},
		{[]string{"postgres://u:hidden@127.0.0.1:x/y"}, "cannot be read"},
		{[]string{"redis://:hidden@127.0.0.1:x"}, "cannot be read"},
		{[]string{"http://example.com/"}, "add --allow-target example.com "},
		{[]string{"postgres://u:hidden@db.example/y"}, "add --allow-target db.example "},
		{[]string{"rediss://:hidden@10.0.0.1"}, "add --allow-target 10.0.0.1 "},
		{[]string{"http://localhost/", "https://localhost/"}, "must be of one scheme"},
		{[]string{"http://localhost/a", "http://localhost/b"}, "share one path"},
		{[]string{"redis://127.0.0.1", "redis://127.0.0.2"}, "for HTTP only"},
	} {
		o := defaults(tc.urls...)
		_, err := parseTargets(o)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: %v, want %q", tc.urls, err, tc.want)
		} else if strings.Contains(err.Error(), "hidden") {
			t.Errorf("%q: a password is shown: %v", tc.urls, err)
		}
	}
}

func FuzzParseTarget(f *testing.F) {
	f.Add("http://me:hidden@localhost:80/x?y#z")
	f.Add("postgres://u:hidden@h/d?password=hidden")
	f.Add("https://[::1%25eth0]:1/")
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := parseTarget(raw)
		if err == nil && got.proto == protoHTTP && (got.addr == "" || !strings.HasPrefix(got.path, "/")) {
			t.Errorf("%q is understood as %+v", raw, got)
		}
	})
}
