package main

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"shakedown/bench"
	"shakedown/bench/load/result"
)

// counts is the ledger of a load.
type counts = bench.Ledger

var loadSchema = sync.OnceValues(func() (*jsonschema.Schema, error) {
	return jsonschema.NewCompiler().Compile("../../docs/schema/load.schema.json")
})

// loaded is the result that `load -o json` printed, which keeps to its schema.
func loaded(t *testing.T, out string) result.Result {
	t.Helper()
	schema, err := loadSchema()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(out))
	if err != nil {
		t.Fatalf("%v in %q", err, out)
	}
	if err := schema.Validate(doc); err != nil {
		t.Errorf("%v in %s", err, out)
	}
	var r result.Result
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v in %q", err, out)
	}
	return r
}

// loadable are the codes of a load that ran to its end. A busy machine makes it void.
func loadable(code int) bool { return code == 0 || code == 4 }

// quick makes a load as short as a load can be.
var quick = []string{"--duration", "400ms", "--warmup", "100ms", "--calibrate=false", "-o", "json"}

func (s *sandbox) load(args ...string) ended {
	return s.run(append(append([]string{"load"}, args...), quick...)...)
}

func answering(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL + "/"
}

func fine(http.ResponseWriter, *http.Request) {}

func TestALoadIsReported(t *testing.T) {
	url := answering(t, fine)
	for _, args := range [][]string{
		{"--rate", "300"},
		{"--rate", "300", "--backend", "net/http"},
		{"--rate", "300", "--arrival", "constant", "--connections", "4"},
		{"--rate", "100..500:400ms"},
		{"--rate", "100..500", "--arrival", "spike"},
		{"--rate", "300..400", "--arrival", "sine:200ms"},
		{"--users", "4", "--think", "5ms"},
		{"--users", "4", "--loops", "2", "--think", "5ms"},
		{"--rate", "300", "--loops", "2"},
		{"--rate", "300", "--gather", "0"},
	} {
		s := newSandbox(t)
		got := s.load(append(args, url, "--seed", "7")...)
		if !loadable(got.code) || got.stderr != "" {
			t.Errorf("%q: should be judged, and silent beside a pipe: %v", args, got)
			continue
		}
		r := loaded(t, got.out)
		if !r.Ledger.Balances() || r.Ledger.Scheduled == 0 || r.Valid && r.Ledger.OK != r.Ledger.Scheduled || r.Seed != 7 || r.Valid != (got.code == 0) {
			t.Errorf("%q: %v", args, got)
		}
		if mode := map[bool]string{true: "closed", false: "open"}[args[0] == "--users"]; r.Mode != mode || r.ResponseMS == nil {
			t.Errorf("%q: mode %s, want %s, with response times", args, r.Mode, mode)
		}
	}
}

func TestTheSameSeedAsksTheSame(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	url := answering(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		asked = append(asked, fmt.Sprint(r.Method, " ", r.RequestURI, " ", r.Header["X-Who"], " ", string(body)))
		mu.Unlock()
	})
	var first string
	for _, backend := range []string{"epoll", "net/http"} {
		asked = nil
		got := newSandbox(t).load(url+"item/{{zipf 1 1000 0.99}}?n={{seq}}", "--arrival", "constant", "--rate", "200", "--connections", "1", "--seed", "11",
			"-H", "X-Who: {{uniform 1 9}}", "--body", "{{sequential 5 7}}", "--backend", backend)
		if !loadable(got.code) {
			t.Fatal(got)
		}
		all := strings.Join(asked, "\n")
		if len(asked) != 100 || !strings.HasPrefix(asked[0], "POST /item/") {
			t.Errorf("%s: the server was asked %d times: %s", backend, len(asked), all)
		}
		if first == "" {
			first = all
		} else if all != first {
			t.Errorf("%s asked otherwise:\n%s\n%s", backend, all, first)
		}
	}
}

func TestABodyComesFromStandardInput(t *testing.T) {
	var got atomic.Value
	url := answering(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got.Store(r.Method + " " + string(body))
	})
	s := newSandbox(t)
	cmd := s.command(append([]string{"load", url, "--rate", "50", "--method", "PUT", "--body-file", "-"}, quick...)...)
	cmd.Stdin = strings.NewReader("from a pipe")
	if out, err := cmd.CombinedOutput(); err != nil && cmd.ProcessState.ExitCode() != 4 {
		t.Fatalf("%v: %s", err, out)
	}
	if got.Load() != "PUT from a pipe" {
		t.Errorf("the server got %q", got.Load())
	}
}

func TestAMixComesFromAFile(t *testing.T) {
	var reads, writes atomic.Int64
	h := func(_ http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, "/v1/item/"):
			reads.Add(1)
		case r.Method == http.MethodPost && r.URL.Path == "/v1/order":
			writes.Add(1)
		}
	}
	one, two := answering(t, h), answering(t, h)
	s := newSandbox(t)
	s.write("mix.yaml", "requests:\n  - {name: read, weight: 9, path: '/item/{key}', keys: {dist: zipf, from: 1, n: 100, s: 0.99}}\n"+
		"  - {name: write, weight: 1, path: /order, body: '{\"n\": {{seq}}}'}\n")
	got := s.load(one+"v1/", two+"v1", "--requests", "mix.yaml", "--rate", "1000")
	if !loadable(got.code) {
		t.Fatal(got)
	}
	r := loaded(t, got.out)
	if len(r.Ops) != 2 || r.Ops[0].Name != "read" || r.Ops[0].Ledger.OK <= 3*r.Ops[1].Ledger.OK || r.Ops[1].Ledger.OK == 0 {
		t.Errorf("operations %+v", r.Ops)
	}
	if reads.Load() < r.Ops[0].Ledger.OK || writes.Load() < r.Ops[1].Ledger.OK {
		t.Errorf("the servers saw %d reads and %d writes, the generator %d and %d", reads.Load(), writes.Load(), r.Ops[0].Ledger.OK, r.Ops[1].Ledger.OK)
	}
}

func TestEveryHTTPIsSpoken(t *testing.T) {
	secure := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 && r.Header.Get("X-Want") == "2" {
			w.WriteHeader(http.StatusHTTPVersionNotSupported)
		}
	}))
	secure.EnableHTTP2 = true
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	plain := httptest.NewUnstartedServer(secure.Config.Handler)
	plain.Config.Protocols = new(http.Protocols)
	plain.Config.Protocols.SetHTTP1(true)
	plain.Config.Protocols.SetUnencryptedHTTP2(true)
	plain.Start()
	t.Cleanup(plain.Close)

	s := newSandbox(t)
	s.write("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})))
	for _, args := range [][]string{
		{secure.URL, "--insecure"},
		{secure.URL, "--cacert", "ca.pem"},
		{secure.URL, "--cacert", "ca.pem", "--http2", "-H", "X-Want: 2"},
		{plain.URL, "--http2", "-H", "X-Want: 2"},
		{strings.Replace(plain.URL, "http:", "h2c:", 1), "--connections", "2", "-H", "X-Want: 2"},
	} {
		got := s.load(append(args, "--rate", "200")...)
		if !loadable(got.code) {
			t.Errorf("%q: %v", args, got)
			continue
		}
		if r := loaded(t, got.out); r.Ledger.OK != r.Ledger.Scheduled || r.Ledger.OK == 0 {
			t.Errorf("%q: %+v, %+v", args, r.Ledger, r.Causes)
		}
	}
	for args, want := range map[string]string{
		secure.URL:                        "its certificate is not trusted: .*; --cacert FILE trusts it",
		plain.URL + " --insecure":         "--insecure and --cacert are for https",
		"https" + plain.URL[len("http"):]: "does not speak TLS; is it http://",
	} {
		code := 3
		if strings.Contains(args, "insecure") {
			code = 2
		}
		refusal{name: args, args: "load " + args, code: code, says: want}.check(t)
	}
}

func TestAnSLODecidesTheExitCode(t *testing.T) {
	url := answering(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/no") {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	for path, want := range map[string]int{"yes": 0, "no": 1} {
		got := newSandbox(t).load(url+path, "--rate", "100", "--slo", "p99<1h")
		if got.code != want && got.code != 4 {
			t.Errorf("%s: want exit code %d, got %v", path, want, got)
		}
		r := loaded(t, got.out)
		if len(r.SLO) != 2 || r.SLO[1].Term != "errors<1%" || r.SLO[1].Met != (want == 0) {
			t.Errorf("%s: %+v; an SLO on times only is none on a server that turns everybody away", path, r.SLO)
		}
	}
}

func TestCtrlCEndsALoadInOrder(t *testing.T) {
	for _, backend := range []string{"epoll", "net/http"} {
		var asked atomic.Int64
		hang := make(chan struct{})
		s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			if asked.Add(1) > 10 {
				<-hang
			}
		}))
		box := newSandbox(t)
		var out, stderr bytes.Buffer
		cmd := box.command("load", s.URL, "--rate", "500", "--duration", "1h", "--warmup", "0s", "--timeout", "1h", "--max-in-flight", "1000", "--calibrate=false",
			"--backend", backend, "--hdr", "x.hdr", "-o", "json")
		cmd.Stdout, cmd.Stderr = &out, &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		waitFor(t, func() bool { return asked.Load() > 20 || cmd.Process.Signal(syscall.Signal(0)) != nil })
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		close(hang)
		s.Close()
		got := ended{cmd.ProcessState.ExitCode(), out.String(), stderr.String()}
		if got.code != 5 || strings.Count(got.stderr, "\n") != 1 || !strings.Contains(got.stderr, "aborted") {
			t.Fatalf("%s: want exit code 5 and one line that says so, got %v", backend, got)
		}
		r := loaded(t, got.out)
		if l := r.Ledger; !r.Aborted || !l.Balances() || l.OK == 0 || l.Unsure == 0 {
			t.Errorf("%s: what was answered is ok, what was in flight unsure: %+v, aborted is %v", backend, l, r.Aborted)
		}
	}
}

func TestFilesAreWrittenWhereTheUserWantsThem(t *testing.T) {
	url := answering(t, fine)
	s := newSandbox(t)
	got := s.load(url, "--rate", "200", "--hdr", "times.hdr", "--report", "page.html")
	if !loadable(got.code) {
		t.Fatal(got)
	}
	for name, want := range map[string]string{"times.hdr": "#[Histogram log format version 1.3]", "page.html": "<!doctype html>"} {
		raw, err := os.ReadFile(filepath.Join(s.dir, name))
		if err != nil || !strings.Contains(strings.ToLower(string(raw)), strings.ToLower(want)) {
			t.Errorf("%s: %v, want %q in it", name, err, want)
		}
	}
	if got := s.load(url, "--rate", "200", "--report", "html"); !loadable(got.code) {
		t.Fatal(got)
	}
	if pages, err := filepath.Glob(filepath.Join(s.dir, "load-*.html")); err != nil || len(pages) != 1 {
		t.Errorf("--report html wrote %q, %v", pages, err)
	}
}

func TestLinesAreOnePerIntervalAndOneForAll(t *testing.T) {
	got := newSandbox(t).run("load", answering(t, fine), "--rate", "200", "--duration", "1s", "--warmup", "0s", "--calibrate=false", "-o", "ndjson")
	if !loadable(got.code) {
		t.Fatal(got)
	}
	var types []string
	for line := range strings.Lines(got.out) {
		var l struct{ Type string }
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		types = append(types, l.Type)
	}
	if n := len(types); n < 2 || types[0] != "interval" || types[n-1] != "result" || strings.Count(strings.Join(types, " "), "result") != 1 {
		t.Errorf("lines of %q", types)
	}
}

func TestALoadThatMakesNoSenseIsRefused(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := ln.Addr().String()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	mix := func(text string) func(*testing.T, *sandbox) {
		return func(_ *testing.T, s *sandbox) { s.write("mix.yaml", text) }
	}
	const here = "load http://127.0.0.1:1/ "
	refuse(t, []refusal{
		{"no URL", "load", nil, 2, `say where the load is to go`},
		{"no scheme", "load localhost:8080", nil, 2, `"localhost:8080" is not a URL`},
		{"unknown scheme", "load ftp://localhost/", nil, 2, `ftp://: it should look like`},
		{"another machine", "load http://me:hidden@db.example/", nil, 2, `db.example is not this machine; add --allow-target db.example `},
		{"a database on another machine", "load postgres://me:hidden@db.example/x --sql x", nil, 2, `add --allow-target db.example `},
		{"nobody listens", "load http://" + gone, nil, 3, `cannot connect: connection refused`},
		{"no such host", "load http://nowhere.invalid --allow-target nowhere.invalid", nil, 3, `there is no host nowhere.invalid`},
		{"nobody listens, with a report", "load http://" + gone + " --report r.html --hdr x", nil, 3, `connection refused`},
		{"no PostgreSQL", "load postgres://me:hidden@" + gone + "/x --sql x", nil, 3, `connection refused|connect`},
		{"no Redis", "load redis://:hidden@" + gone + " --command PING", nil, 3, `connection refused|connect`},
		{"rate in words", here + "--rate fast", nil, 2, `--rate fast: "fast" is not a number`},
		{"rate 0", here + "--rate 0", nil, 2, `nothing would be sent`},
		{"ramp longer than the load", here + "--rate 1..2:9s --duration 3s", nil, 2, `takes longer than --duration 3s`},
		{"open and closed", here + "--rate 5 --users 3", nil, 2, `--users is a closed loop`},
		{"users in the negative", here + "--users -3", nil, 2, `--users -3: must be 1 to`},
		{"unknown arrivals", here + "--arrival bursty", nil, 2, `--arrival bursty: there are constant`},
		{"no such trace", here + "--arrival trace:none", nil, 2, `--arrival trace: open none`},
		{"duration without a unit", here + "--duration 5", nil, 2, `missing unit`},
		{"no timeout", here + "--timeout 0s", nil, 2, `--timeout 0s: must be positive`},
		{"no room in flight", here + "--max-in-flight 0", nil, 2, `--max-in-flight 0: must be positive`},
		{"fewer connections than loops", here + "--connections 1 --loops 2", nil, 2, `--connections 1: 2 event loops to 1 URLs`},
		{"unknown back end", here + "--backend select", nil, 2, `--backend select: there are auto, epoll, io_uring, net/http`},
		{"unknown format", here + "-o pdf", nil, 2, `-o pdf: the formats are text, json, ndjson`},
		{"header without a colon", here + "-H nonsense", nil, 2, `--header: "nonsense" is no header`},
		{"bad method", here + "--method G@T", nil, 2, `method: "G@T" cannot be used`},
		{"bad template", here + "--body {{zipf}}", nil, 2, `body: {{zipf}}: zipf takes 3 values`},
		{"unknown template", here + "--body {{gauss}}", nil, 2, `{{gauss}}: unknown; there are {{zipf`},
		{"two bodies", here + "--body x --body-file y", nil, 2, `exclude each other`},
		{"no such body", here + "--body-file none", nil, 2, `--body-file: open none`},
		{"no such file of requests", here + "--requests none", nil, 2, `--requests: open none`},
		{"requests and a header", here + "--requests mix.yaml -H A:b", mix("requests: [{path: /}]"), 2, `--requests says what is asked for, and so does --header`},
		{"requests for another server", here + "--requests mix.yaml", mix("requests: [{sql: select 1}]"), 2, `asks PostgreSQL, and http://127.0.0.1:1/ is HTTP`},
		{"requests with a slip", here + "--requests mix.yaml", mix("requests: [{paht: /}]"), 2, `mix.yaml: .*paht`},
		{"no requests", here + "--requests mix.yaml", mix(""), 2, `mix.yaml: is empty`},
		{"a query before every path", "load http://127.0.0.1:1/?a=b --requests mix.yaml", mix("requests: [{path: /}]"), 2, `it has no query`},
		{"SQL for HTTP", here + "--sql x", nil, 2, `--sql is for PostgreSQL, and http://127.0.0.1:1/ is HTTP`},
		{"a header for Redis", "load redis://127.0.0.1:1 --command PING -H A:b", nil, 2, `--header is for HTTP`},
		{"PostgreSQL without SQL", "load postgres://127.0.0.1:1/x", nil, 2, `--sql 'select …'`},
		{"Redis without a command", "load redis://127.0.0.1:1", nil, 2, `--command 'GET key'`},
		{"bad draw", "load postgres://127.0.0.1:1/x --sql x --arg zipf:1", nil, 2, `args: \$1, "zipf:1": zipf takes 3 values`},
		{"SLO without a bound", here + "--slo p99", nil, 2, `--slo: "p99": write a metric`},
		{"SLO of an unknown metric", here + "--slo p98<5ms", nil, 2, `there is no metric "p98"`},
		{"search without an SLO", here + "--search", nil, 2, `--search looks for the highest rate that meets an SLO; say which`},
		{"search in closed loop", here + "--search --slo p99<5ms --users 3", nil, 2, `a closed loop \(--users\) has none`},
		{"search of a ramp", here + "--search --slo p99<5ms --rate 1..5", nil, 2, `poisson or constant, not a ramp`},
		{"certificate for plain HTTP", here + "--cacert none", nil, 2, `are for https`},
		{"no such certificate", "load https://127.0.0.1:1/ --cacert none", nil, 2, `--cacert: open none`},
		{"no certificate in the file", "load https://127.0.0.1:1/ --cacert tiny.yaml", nil, 2, `--cacert tiny.yaml: there is no certificate in it`},
		{"event loops for TLS", "load https://127.0.0.1:1/ --backend epoll", nil, 2, `speaks plain HTTP/1.1 only`},
		{"gathering for long", here + "--gather 1s", nil, 2, `--gather 1s: must be 0 to 5ms`},
		{"gathering for TLS", "load https://127.0.0.1:1/ --gather 0", nil, 2, `--gather is of the event loops`},
		{"loops for TLS", "load https://127.0.0.1:1/ --loops 2", nil, 2, `--loops is of the event loops`},
		{"paths that differ", "load http://127.0.0.1:1/a http://127.0.0.1:1/b", nil, 2, `several URLs share one path`},
		{"schemes that differ", "load http://127.0.0.1:1/ https://127.0.0.1:1/", nil, 2, `must be of one scheme`},
		{"several databases", "load redis://127.0.0.1:1 redis://127.0.0.1:2 --command PING", nil, 2, `several URLs are for HTTP only`},
		{"users that differ", "load http://a:hidden@127.0.0.1:1/ http://127.0.0.1:1/", nil, 2, `several URLs have one user`},
	})
}

func TestAFileThatCannotBeWrittenIsFoundEarly(t *testing.T) {
	url := answering(t, func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") })
	refuse(t, []refusal{
		{"log in no folder", "load " + url + " --hdr none/x.hdr", nil, 2, `--hdr: open none/x.hdr`},
		{"page in no folder", "load " + url + " --hdr x.hdr --report none/x.html", nil, 2, `--report: open none/x.html`},
		{"page that is none", "load " + url + " --report page.pdf", nil, 2, `--report page.pdf: the name of a page ends in .html`},
	})
}
