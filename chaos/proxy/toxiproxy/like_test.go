package toxiproxy

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/goleak"

	"shakedown/chaos/proxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ours serves the API of a proxy without links.
func ours(t *testing.T, o Options) string {
	t.Helper()
	p, err := proxy.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(Metrics(p))
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.Handle("/", New(p, o))
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv.URL
}

// A side is one of two servers that are asked the same.
type side struct {
	url    string
	listen map[string]string // where its proxies listen, by name, as it said last
}

// An ask is one request. {NAME} in its body is where the proxy of that name listens.
type ask struct{ method, path, body string }

func (a ask) String() string { return strings.TrimSpace(a.method + " " + a.path + " " + a.body) }

// An answer is what clients see of a response.
type answer struct {
	Status      int
	ContentType string
	Body        string
}

var (
	placeholder = regexp.MustCompile(`\{([a-z]+)\}`)
	port        = regexp.MustCompile(`127\.0\.0\.1:[1-9]\d*`)
)

func (s *side) ask(t *testing.T, a ask) answer {
	t.Helper()
	body := placeholder.ReplaceAllStringFunc(a.body, func(name string) string {
		if at, ok := s.listen[strings.Trim(name, "{}")]; ok {
			return at
		}
		return name
	})
	r, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), a.method, s.url+a.path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Close = true
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatalf("%s: %v", a, err)
	}
	defer func() { _ = resp.Body.Close() }()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s: %v", a, err)
	}
	if strings.HasPrefix(a.path, "/proxies") && resp.Header.Get("X-Toxiproxy-Request-Id") == "" && resp.StatusCode < 404 {
		t.Errorf("%s: no request id", a)
	}
	s.learn(got)
	// Which port the kernel chose may differ, and Toxiproxy shows an empty object that is its logger by mistake.
	text := strings.ReplaceAll(port.ReplaceAllString(string(got), "127.0.0.1:PORT"), `"Logger":{},`, "")
	return answer{resp.StatusCode, resp.Header.Get("Content-Type"), text}
}

// learn remembers where proxies listen.
func (s *side) learn(body []byte) {
	var one Proxy
	var many map[string]json.RawMessage
	if json.Unmarshal(body, &one) == nil && one.Name != "" {
		s.listen[one.Name] = one.Listen
	}
	if json.Unmarshal(body, &many) != nil {
		return
	}
	var list []Proxy
	_ = json.Unmarshal(many["proxies"], &list) // an answer to /populate, or nothing
	for _, raw := range many {
		if json.Unmarshal(raw, &one) == nil {
			list = append(list, one)
		}
	}
	for _, p := range list {
		s.listen[p.Name] = p.Listen
	}
}

// pair are the real Toxiproxy and ours.
func pair(t *testing.T) (theirs, our *side) {
	t.Helper()
	return &side{reference(t), map[string]string{}}, &side{ours(t, Options{}), map[string]string{}}
}

// compare asks both, and wants the same answer. A reset that fails is compared by its status: Toxiproxy goes through its
// proxies in no order and stops at the first that cannot be enabled, so that its error and what is left differ from time
// to time. What is left is then removed.
func compare(t *testing.T, theirs, our *side, a ask) {
	t.Helper()
	want, got := theirs.ask(t, a), our.ask(t, a)
	if a.path == "/reset" && want.Status == http.StatusInternalServerError && got.Status == want.Status {
		for _, name := range names {
			compare(t, theirs, our, ask{"DELETE", "/proxies/" + name, ""})
		}
		return
	}
	if got != want {
		t.Errorf("%s\nToxiproxy says %d %s %s\nwe say         %d %s %s",
			a, want.Status, want.ContentType, want.Body, got.Status, got.ContentType, got.Body)
	}
}

// TestAnswersLikeToxiproxy asks both the same, one after the other, and wants the same answers: status, type and every byte.
func TestAnswersLikeToxiproxy(t *testing.T) {
	theirs, our := pair(t)
	for _, a := range conversation {
		compare(t, theirs, our, a)
	}
}

// TestAnswersLikeToxiproxyAtRandom asks what nobody would think of.
func TestAnswersLikeToxiproxyAtRandom(t *testing.T) {
	theirs, our := pair(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 3000 {
		compare(t, theirs, our, randomAsk(r))
		if t.Failed() {
			return
		}
	}
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// names are those of the proxies, as paths have them, and one of none.
var names = []string{"a", "b", "c%20d", "none"}

// randomAsk draws from few names, so that requests meet what others left. Two shapes are left out: what makes Toxiproxy
// itself crash (a slicer of size 0, a negative rate; only with traffic) cannot happen here, for there is none, and a bad
// update of a toxic, which Toxiproxy carries out by half.
func randomAsk(r *rand.Rand) ask {
	name := func() string { return pick(r, names...) }
	toxic := func() string {
		return pick(r, "latency_downstream", "latency_upstream", "t", "bandwidth_upstream", "none")
	}
	switch r.IntN(12) {
	case 0:
		return ask{"POST", "/populate", "[" + randomProxy(r) + "," + randomProxy(r) + "]"}
	case 1, 2:
		return ask{"POST", "/proxies", randomProxy(r)}
	case 3, 4: // an upstream that becomes empty is an error here
		return ask{pick(r, "POST", "PATCH"), "/proxies/" + name(), strings.ReplaceAll(randomProxy(r), `"upstream":""`, `"upstream":"b:1"`)}
	case 5:
		return ask{"DELETE", "/proxies/" + name(), ""}
	case 6, 7, 8:
		return ask{"POST", "/proxies/" + name() + "/toxics", randomToxic(r, true)}
	case 9:
		return ask{pick(r, "POST", "PATCH"), "/proxies/" + name() + "/toxics/" + toxic(), randomToxic(r, false)}
	case 10:
		return ask{"DELETE", "/proxies/" + name() + "/toxics/" + toxic(), ""}
	}
	return ask{
		pick(r, "GET", "GET", "GET", "HEAD", "PUT", "DELETE", "POST", "OPTIONS"),
		pick(r, "/proxies", "/proxies", "/proxies/"+name(), "/proxies/"+name()+"/toxics", "/proxies/"+name()+"/toxics/"+toxic(), "/reset", "/version", "/"), "",
	}
}

// members writes an object of those that are drawn.
func members(r *rand.Rand, of map[string][]string) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(of)) { // so that a seed draws the same again
		if key == "listen" || r.IntN(4) > 0 { // without an address Toxiproxy listens on all
			parts = append(parts, fmt.Sprintf("%q:%s", key, pick(r, of[key]...)))
		}
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func randomProxy(r *rand.Rand) string {
	if r.IntN(20) == 0 {
		return pick(r, `[]`, `null`, `5`, `{"name":5}`, `{"enabled":"no"}`, `{`, ``, `"a"`, `{"listen":[]}`)
	}
	return members(r, map[string][]string{
		"name":     {`"a"`, `"b"`, `"c d"`},
		"listen":   {`"127.0.0.1:0"`, `"127.0.0.1:0"`, `"localhost:0"`, `"{a}"`, `"{b}"`, `"127.0.0.1"`, `"127.0.0.1:99999"`, `"127.0.0.1:http-"`},
		"upstream": {`"127.0.0.1:1"`, `"localhost:2"`, `""`},
		"enabled":  {`true`, `true`, `false`, `null`},
		"toxics":   {`[{"type":"latency"}]`},
	})
}

func randomToxic(r *rand.Rand, whole bool) string {
	if whole && r.IntN(20) == 0 {
		return pick(r, `[]`, `null`, `5`, `{"name":5}`, `{"toxicity":"1"}`, `{`, ``, `{"attributes":[]}`, `{"type":"latency","attributes":{"latency":"x"}}`)
	}
	of := map[string][]string{
		"toxicity": {`0`, `1`, `0.2`, `0.5`, `-1`, `7`, `null`},
		"attributes": {
			`null`, `{}`, `{"latency":100,"jitter":10}`, `{"rate":30}`, `{"delay":5}`, `{"timeout":0}`, `{"bytes":7}`, `{"other":"x"}`,
			`{"average_size":64,"size_variation":32,"delay":10}`, `{"LATENCY":3}`,
		},
	}
	if whole {
		of["name"] = []string{`""`, `"t"`, `"latency_upstream"`}
		of["stream"] = []string{`"upstream"`, `"downstream"`, `"UpStream"`, `""`, `"walrustream"`}
		of["type"] = []string{
			`"latency"`, `"latency"`, `"bandwidth"`, `"slow_close"`, `"timeout"`, `"reset_peer"`, `"slicer"`, `"limit_data"`, `"noop"`, `"none"`, `""`,
		}
	}
	return members(r, of)
}

// conversation is what Toxiproxy's own tests of its API ask, and what its documentation says, in one go.
var conversation = []ask{
	{"GET", "/version", ""},
	{"POST", "/version", ""},
	{"HEAD", "/version", ""},
	{"GET", "/proxies", ""},
	{"GET", "/", ""},
	{"GET", "/nothing", ""},
	{"PUT", "/proxies", ""},
	{"DELETE", "/proxies", ""},
	{"GET", "/reset", ""},
	{"GET", "/populate", ""},

	// Proxies that cannot be.
	{"POST", "/proxies", ``},
	{"POST", "/proxies", `{"name":`},
	{"POST", "/proxies", `[]`},
	{"POST", "/proxies", `{"name":5,"upstream":"127.0.0.1:1"}`},
	{"POST", "/proxies", `{}`},
	{"POST", "/proxies", `{"name":"redis"}`},
	{"POST", "/proxies", `{"name":"redis","upstream":"127.0.0.1:1","listen":"nonsense"}`},
	{"POST", "/proxies", `{"name":"redis","upstream":"127.0.0.1:1","listen":"127.0.0.1:70000"}`},
	{"POST", "/proxies", `{"name":"redis","upstream":"127.0.0.1:1","listen":"127.0.0.1:no"}`},
	{"GET", "/proxies/redis", ""},
	{"POST", "/proxies/redis", "{}"},
	{"DELETE", "/proxies/redis", ""},
	{"GET", "/proxies/redis/toxics", ""},
	{"POST", "/proxies/redis/toxics", "{}"},
	{"GET", "/proxies/redis/toxics/x", ""},
	{"DELETE", "/proxies/redis/toxics/x", ""},

	// Proxies that are.
	{"POST", "/proxies", `{"name":"redis","upstream":"localhost:1","listen":"localhost:0"}`},
	{"POST", "/proxies", `{"name":"redis","upstream":"localhost:1","listen":"localhost:0"}`},
	{"POST", "/proxies", `{"name":"taken","upstream":"localhost:1","listen":"{redis}"}`},
	{"POST", "/proxies", `{"name":"asleep","upstream":"no check","listen":"localhost:0","enabled":false,"unknown":1} trailing`},
	{"POST", "/proxies", `{"name":"sp ace/ü","upstream":"127.0.0.1:1","listen":"127.0.0.1:0"}`},
	{"GET", "/proxies", ""},
	{"GET", "/proxies/redis", ""},
	{"HEAD", "/proxies/redis", ""},
	{"GET", "/proxies/asleep", ""},
	{"GET", "/proxies/sp%20ace", ""},
	{"PUT", "/proxies/redis", ""},

	// Changes.
	{"POST", "/proxies/redis", `{`},
	{"POST", "/proxies/redis", `{"enabled":"no"}`},
	{"POST", "/proxies/redis", `{}`},
	{"POST", "/proxies/redis", `{"name":"other"}`},
	{"POST", "/proxies/redis", `{"upstream":"127.0.0.1:3"}`},
	{"POST", "/proxies/redis", `{"listen":"nonsense"}`},
	{"POST", "/proxies/redis", `{"enabled":false}`},
	{"POST", "/proxies/redis", `{"enabled":false}`},
	{"POST", "/proxies/redis", `{"enabled":true,"listen":"{redis}"}`},
	{"PATCH", "/proxies/redis", `{"enabled":false,"listen":"127.0.0.1:0"}`},
	{"PATCH", "/proxies/redis", `{"enabled":true}`},
	{"PATCH", "/proxies/asleep", `{"listen":"{redis}","enabled":true}`},
	{"GET", "/proxies/asleep", ""},

	// Toxics that cannot be.
	{"POST", "/proxies/redis/toxics", ``},
	{"POST", "/proxies/redis/toxics", `[]`},
	{"POST", "/proxies/redis/toxics", `{}`},
	{"POST", "/proxies/redis/toxics", `{"type":"none"}`},
	{"POST", "/proxies/redis/toxics", `{"type":"latency","stream":"walrustream"}`},
	{"POST", "/proxies/redis/toxics", `{"type":"latency","stream":""}`},
	{"POST", "/proxies/redis/toxics", `{"type":"latency","attributes":7}`},
	{"POST", "/proxies/redis/toxics", `{"type":"latency","attributes":{"latency":"x"}}`},
	{"POST", "/proxies/redis/toxics", `{"type":"latency","attributes":{"latency":1.5}}`},
	{"GET", "/proxies/redis/toxics", ""},

	// Toxics of every type, with and without attributes.
	{"POST", "/proxies/redis/toxics", `{"type":"latency"}`},
	{"POST", "/proxies/redis/toxics", `{"type":"latency"}`},
	{"POST", "/proxies/redis/toxics", `{"type":"latency","stream":"upstream","toxicity":0.2,"attributes":{"latency":100,"jitter":10}}`},
	{"POST", "/proxies/redis/toxics", `{"type":"latency","stream":"UPSTREAM"}`},
	{"POST", "/proxies/redis/toxics", `{"name":"latency_upstream","type":"slow_close"}`},
	{"POST", "/proxies/redis/toxics", `{"name":"foobar","type":"noop","attributes":null}`},
	{"POST", "/proxies/redis/toxics", `{"type":"bandwidth","attributes":{"rate":1000}}`},
	{"POST", "/proxies/redis/toxics", `{"type":"slow_close","attributes":{"delay":1000}}`},
	{"POST", "/proxies/redis/toxics", `{"type":"timeout","toxicity":0}`},
	{"POST", "/proxies/redis/toxics", `{"type":"reset_peer","toxicity":-3,"attributes":{"timeout":1000}}`},
	{"POST", "/proxies/redis/toxics", `{"type":"slicer","toxicity":9.5,"attributes":{"average_size":64,"size_variation":32,"delay":10}}`},
	{"POST", "/proxies/redis/toxics", `{"type":"limit_data","stream":"upstream","attributes":{"bytes":9223372036854775807}}`},
	{"GET", "/proxies/redis/toxics", ""},
	{"GET", "/proxies/redis", ""},
	{"GET", "/proxies/redis/toxics/slicer_downstream", ""},
	{"GET", "/proxies/redis/toxics/none", ""},
	{"PUT", "/proxies/redis/toxics/slicer_downstream", ""},

	// Changes of toxics.
	{"POST", "/proxies/redis/toxics/none", "{}"},
	{"POST", "/proxies/redis/toxics/latency_downstream", `{`},
	{"POST", "/proxies/redis/toxics/latency_downstream", `{"toxicity":0.5,"attributes":{"latency":1000}}`},
	{"PATCH", "/proxies/redis/toxics/latency_downstream", `{"attributes":{"jitter":20},"name":"x","stream":"upstream","type":"noop"}`},
	{"PATCH", "/proxies/redis/toxics/latency_downstream", `{"attributes":null}`},
	{"DELETE", "/proxies/redis/toxics/foobar", ""},
	{"DELETE", "/proxies/redis/toxics/foobar", ""},
	{"GET", "/proxies/redis/toxics", ""},

	// Toxics stay when a proxy moves, sleeps and wakes, and can be changed while it sleeps.
	{"POST", "/proxies/redis", `{"upstream":"127.0.0.1:4"}`},
	{"POST", "/proxies/redis", `{"enabled":false}`},
	{"POST", "/proxies/redis/toxics", `{"name":"night","type":"timeout"}`},
	{"DELETE", "/proxies/redis/toxics/slicer_downstream", ""},
	{"POST", "/proxies/redis", `{"enabled":true}`},

	// Populating.
	{"POST", "/populate", ``},
	{"POST", "/populate", `{}`},
	{"POST", "/populate", `[]`},
	{"POST", "/populate", `[5]`},
	{"POST", "/populate", `[{"name":"a","upstream":"127.0.0.1:1"},{"upstream":"127.0.0.1:1"}]`},
	{"POST", "/populate", `[{"name":"a"}]`},
	{"POST", "/populate", `[{"name":"one","listen":"127.0.0.1:0","upstream":"127.0.0.1:1"},{"name":"two","listen":"127.0.0.1:0","upstream":"127.0.0.1:2","enabled":false}]`},
	{"POST", "/proxies/one/toxics", `{"type":"latency"}`},
	{"POST", "/populate", `[{"name":"one","listen":"{one}","upstream":"127.0.0.1:1"}]`},
	{"POST", "/populate", `[{"name":"one","listen":"{one}","upstream":"127.0.0.1:1","enabled":false}]`},
	{"POST", "/populate", `[{"name":"one","listen":"{one}","upstream":"127.0.0.1:7"}]`},
	{"POST", "/populate", `[{"name":"three","listen":"127.0.0.1:0","upstream":"127.0.0.1:1"},{"name":"two","listen":"{one}","upstream":"127.0.0.1:2"},{"name":"four","listen":"127.0.0.1:0","upstream":"127.0.0.1:1"}]`},
	{"POST", "/populate", `[{"name":"three","listen":"nonsense","upstream":"127.0.0.1:1"}]`},
	{"GET", "/proxies", ""},

	// And back.
	{"POST", "/proxies/two", `{"listen":"127.0.0.1:0"}`},
	{"DELETE", "/proxies/asleep", ""},
	{"POST", "/reset", ""},
	{"GET", "/proxies", ""},
	{"DELETE", "/proxies/redis", ""},
	{"GET", "/proxies/redis", ""},
	{"POST", "/proxies", `{"name":"redis","upstream":"localhost:1","listen":"{redis}"}`},
}
