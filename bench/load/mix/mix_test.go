package mix

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"shakedown/bench"
)

func mixOf(t testing.TB, ops ...Op) *Mix {
	t.Helper()
	m, err := New(ops)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

var here = Target{Host: "127.0.0.1:8080"}

var sample = []Op{
	{Name: "read", Weight: 3, Path: "/item/{key}?n={{uniform 1 9}}", Keys: bench.Keys{Dist: "zipf", N: 1000, S: 0.99}},
	{Name: "write", Method: "PUT", Path: "/item/{{zipf 1 500 1.1}}", Header: map[string]string{"content-type": "application/json", "X-Seq": "n{{seq}}"}, Body: `{"v": {{uniform 1 1000000}}, "key": {key}}`},
	{Path: "/{{sequential 10 12}}", Header: map[string]string{"Host": "example.org", "User-Agent": "me"}},
	{Name: "head", Method: "HEAD", Path: "/"},
	{Name: "post", Body: "{{pad 5}}", Path: "/"},
	{Name: "empty post", Method: "POST", Path: "/"},
}

// What goes on the wire and what the client on net/http gets is one request, and reads as HTTP.
func TestBothClientsSendTheSameRequest(t *testing.T) {
	targets := []Target{here, {Host: "other:81", Base: "/v1"}}
	r := mixOf(t, sample...).Requests(7, targets...)
	seen := map[bench.OpID]bool{}
	for seq := range uint64(2000) {
		raw, op, key := r.AppendHTTP(nil, seq)
		next := r.Next(seq)
		got, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
		if err != nil {
			t.Fatalf("%q: %v", raw, err)
		}
		body, err := io.ReadAll(got.Body)
		if err != nil {
			t.Fatal(err)
		}
		target := targets[seq%2]
		host := target.Host
		if h := next.Header["Host"]; h != nil {
			host = h[0]
		}
		header := got.Header.Clone()
		header.Del("Content-Length")
		if host == "example.org" {
			header["Host"] = []string{host}
		}
		switch {
		case op != next.Op || key != next.Key || got.Method != next.Method || got.RequestURI != target.Base+next.Path || got.Host != host:
			t.Fatalf("%q is not %+v", raw, next)
		case !bytes.Equal(body, next.Body) || got.ContentLength != int64(len(next.Body)) && len(next.Body) > 0:
			t.Fatalf("%q: body %q, want %q", raw, body, next.Body)
		case !reflect.DeepEqual(map[string][]string(header), next.Header):
			t.Fatalf("%q: header %v, want %v", raw, header, next.Header)
		}
		seen[op] = true
	}
	if len(seen) != len(sample) {
		t.Errorf("only %v of %d operations came", seen, len(sample))
	}
}

func TestTheRequestOnTheWireIsWhatWasSaid(t *testing.T) {
	for want, op := range map[string]Op{
		"GET /a?b=c HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: shakedown\r\n\r\n":                                                   {Path: "/a?b=c"},
		"POST / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: shakedown\r\nContent-Length: 3\r\n\r\nabc":                               {Path: "/", Body: "abc"},
		"PATCH / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: shakedown\r\nContent-Length: 0\r\n\r\n":                                 {Path: "/", Method: "PATCH"},
		"POST /9 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nA: 9\r\nUser-Agent: shakedown\r\nContent-Length:         15\r\n\r\n<n>4</n> 7 9 10": {Path: "/{key}", Keys: bench.Keys{From: 9}, Header: map[string]string{"a": "{key}"}, Body: "<n>{{seq}}</n> {{fixed 7}} {key} {{sequential 6 11}}"},
	} {
		if op.Keys != (bench.Keys{}) {
			op.Keys.Dist = "fixed"
		}
		raw, _, _ := mixOf(t, op).Requests(1, here).AppendHTTP(nil, 4)
		if string(raw) != want {
			t.Errorf("%q, want %q", raw, want)
		}
	}
}

func TestAnExperimentsRequestsAreItsStreams(t *testing.T) {
	w := bench.Workload{
		Ops: []bench.Op{
			{Name: "get", Weight: 3, Path: "/item/{key}", Keys: bench.Keys{Dist: "zipf", N: 1000, S: 1.2}},
			{Name: "put", Method: "PUT", Path: "/items?of={key}", Keys: bench.Keys{Dist: "uniform", From: 5, N: 10}},
			{Name: "list", Path: "/items"},
		},
		SLO: 1, Timeout: 1,
	}
	stream, err := bench.NewStream(w, 3)
	if err != nil {
		t.Fatal(err)
	}
	targets := []Target{here, {Host: "b", Base: "/x"}}
	s, err := FromStream(w, stream, targets...)
	if err != nil {
		t.Fatal(err)
	}
	for seq := range uint64(1000) {
		raw, op, key := s.AppendHTTP(nil, seq)
		want := stream.Next(seq)
		start := want.Method + " " + targets[seq%2].Base + want.Path + " HTTP/1.1\r\nHost: " + targets[seq%2].Host + "\r\n"
		if op != want.Op || key != want.Key || !strings.HasPrefix(string(raw), start) {
			t.Fatalf("arrival %d: %q, op %d, key %d; want %+v", seq, raw, op, key, want)
		}
	}
}

func TestStatementsAndCommandsAreFilled(t *testing.T) {
	sql := mixOf(t, Op{SQL: "select $1, $2, $3, $4, $5", Args: []string{"uniform:3:3", "name {{fixed 4}}", "plain", "{key}", "{{seq}}"}, Keys: bench.Keys{Dist: "fixed", From: 11}}).Requests(1)
	if got, want := sql.AppendArgs(nil, 5), []any{int64(3), "name 4", "plain", int64(11), "5"}; !reflect.DeepEqual(got, want) || sql.SQL(0) != "select $1, $2, $3, $4, $5" {
		t.Errorf("%#v, want %#v", got, want)
	}
	redis := mixOf(t, Op{Command: `SET key:{{fixed 7}} "two words\n" 'it\'s' {{pad 3}} EX {{uniform 60 60}}`}).Requests(1)
	if got, want := redis.AppendArgs(nil, 5), []any{"SET", "key:7", "two words\n", "it's", "xxx", "EX", "60"}; !reflect.DeepEqual(got, want) {
		t.Errorf("%#v, want %#v", got, want)
	}
	if r := redis.Next(5); r.Key != 7 && r.Key != 0 {
		t.Errorf("key %d", r.Key)
	}
}

func TestAFileIsReadStrictly(t *testing.T) {
	m, err := Parse([]byte("requests:\n  - {name: a, path: /x, weight: 2}\n  - name: b\n    method: POST\n    path: /y\n    header: {Content-Type: text/plain}\n    body: 'hello {{seq}}'\n    keys: {dist: zipf, n: 10, s: 0.9}\n"))
	if err != nil || m.Protocol() != HTTP || !reflect.DeepEqual(m.Names(), []string{"a", "b"}) {
		t.Fatalf("%+v, %v", m, err)
	}
	for text, want := range map[string]string{
		"":                                       "is empty",
		"requests: []":                           "at least one",
		"- a":                                    "must be a mapping",
		"requests: [{path: /, wait: 3}]":         `unknown field "wait"`,
		"requests: [{path: /}]\n---\na: b":       "more than one document",
		"requests: [{path: /}, {sql: select 1}]": "one load has one protocol",
		"requests: [{}]":                         "says not what to ask",
		"requests: [{path: /, sql: a}]":          "says not what to ask",
		"requests: [{name: a, path: /}, {name: a, path: /}]":   "two requests have this name",
		"requests: [{path: x}]":                                "must start with /",
		"requests: [{path: /a b}]":                             "must be escaped, as %20",
		"requests: [{path: '/{{zipf 1 2}}'}]":                  "takes 3 values",
		"requests: [{path: '/{{zipf 1 2'}]":                    "not closed",
		"requests: [{path: '/{{dice 6}}'}]":                    "unknown; there are",
		"requests: [{path: '/{{uniform 9 1}}'}]":               "no range",
		"requests: [{path: '/{{uniform a 1}}'}]":               "not a whole number",
		"requests: [{path: '/{{zipf 1 5 99}}'}]":               "zipf needs s",
		"requests: [{path: '/{{pad 99999999999}}'}]":           "pad takes",
		"requests: [{path: '/{{}}'}]":                          "says nothing",
		"requests: [{path: /, weight: -1}]":                    "weight",
		"requests: [{path: /, keys: {dist: pareto}}]":          "unknown dist",
		"requests: [{path: /, method: 'A B'}]":                 "method",
		"requests: [{path: /, header: {A B: c}}]":              "no name of a header",
		"requests: [{path: /, header: {A: \"b\\nc\"}}]":        "line break",
		"requests: [{path: /, header: {content-length: '5'}}]": "set by shakedown",
		"requests: [{path: /, header: {a: 1}}]":                "must be a mapping",
		"requests: [{sql: a, body: b}]":                        "are of HTTP",
		"requests: [{path: /, args: [a]}]":                     "args are of sql",
		"requests: [{sql: a, args: ['zipf:1:2']}]":             "takes 3 values",
		"requests: [{command: 'get \"a'}]":                     "quote is not closed",
		"requests: [{command: ' '}]":                           "is empty",
		"requests: [{command: '{{seq}} a'}]":                   "name of a command",
		"a: [":                                                 "yaml",
	} {
		if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v; want one line with %q", text, err, want)
		}
	}
}

func TestHeaderLines(t *testing.T) {
	h, err := ParseHeader([]string{"accept:  text/html ", "X-Y: a:b"})
	if err != nil || !reflect.DeepEqual(h, map[string]string{"Accept": "text/html", "X-Y": "a:b"}) {
		t.Errorf("%v, %v", h, err)
	}
	for _, bad := range [][]string{{"nothing"}, {": x"}, {"A: 1", "a: 2"}} {
		if _, err := ParseHeader(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestWritingARequestAllocatesNothing(t *testing.T) {
	r := mixOf(t, sample...).Requests(7, here)
	buf := make([]byte, 0, 1024)
	var seq uint64
	if n := testing.AllocsPerRun(1000, func() { r.AppendHTTP(buf, seq); seq++ }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("requests: [{path: '/{{zipf 1 100 0.99}}', body: '{key}{{seq}}', keys: {dist: uniform, n: 3}}]")
	f.Add("requests: [{command: 'set a \"b\\n\" {{pad 3}}'}]")
	f.Add("requests: [{sql: select $1, args: ['zipf:1:5:1']}]")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := Parse([]byte(text))
		if err != nil {
			return
		}
		r := m.Requests(1, here)
		r.Next(3)
		r.AppendArgs(nil, 3)
		if m.Protocol() != HTTP {
			return
		}
		raw, _, _ := r.AppendHTTP(nil, 3)
		if _, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw))); err != nil && !strings.Contains(err.Error(), "malformed Host") && !strings.Contains(err.Error(), "invalid URL") && !strings.Contains(err.Error(), "parse ") {
			t.Fatalf("%q makes %q: %v", text, raw, err)
		}
	})
}

func BenchmarkAppendHTTP(b *testing.B) {
	for name, ops := range map[string][]Op{
		"static":  {{Path: "/"}},
		"uniform": {{Path: "/item/{key}", Keys: bench.Keys{Dist: "uniform", N: 1_000_000}}},
		"zipf":    {{Path: "/item/{key}", Keys: bench.Keys{Dist: "zipf", N: 1_000_000, S: 0.99}}},
	} {
		b.Run(name, func(b *testing.B) {
			r := mixOf(b, ops...).Requests(7, here)
			buf := make([]byte, 0, 1024)
			b.ReportAllocs()
			var seq uint64
			for b.Loop() {
				r.AppendHTTP(buf, seq)
				seq++
			}
		})
	}
}
