package daemon

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"shakedown/chaos/proxy"
	"shakedown/chaos/proxy/api"
	"shakedown/chaos/proxy/toxiproxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var saidURL = regexp.MustCompile(`^listening on (http://\S+), as Toxiproxy [0-9.]+ does$`)

// start runs a daemon inside the test; it returns its URL and what it said of its links.
func start(t *testing.T, o Options) (url string, links []string) {
	t.Helper()
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := Run(ctx, w, o)
		_ = w.CloseWithError(err)
		ended <- err
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the daemon ended with %v", err)
		}
	})
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if m := saidURL.FindStringSubmatch(lines.Text()); m != nil {
			url = m[1]
		} else {
			links = append(links, lines.Text())
		}
		if url != "" && len(links) == o.expected() {
			return url, links
		}
	}
	t.Fatalf("the daemon said nothing: %v", lines.Err())
	return "", nil
}

// expected is how many links the daemon will tell of.
func (o Options) expected() (n int) {
	if o.Config == "" {
		return 0
	}
	raw, _ := os.ReadFile(o.Config)
	var list []toxiproxy.Proxy
	_ = json.Unmarshal(raw, &list)
	return len(list)
}

// do sends a request, and returns the status and the error that the answer states.
func do(t *testing.T, method, url, body string, edit func(*http.Request)) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Close = true
	if edit != nil {
		edit(r)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var e struct {
		Error  string `json:"error"`
		Status int    `json:"status"`
	}
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = json.Unmarshal(raw, &e) // an answer that is no object has no error
	if e.Error != "" && e.Status != resp.StatusCode {
		t.Errorf("%s %s: status %d, and %d in the body", method, url, resp.StatusCode, e.Status)
	}
	return resp.StatusCode, e.Error
}

func bearer(token string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
}

func TestBothAPIsShowTheSameLinks(t *testing.T) {
	url, _ := start(t, Options{})
	c, err := api.Dial(t.Context(), url, "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.CreateLink(t.Context(), api.LinkSpec{Name: "ours", Network: "unix", Address: "/run/x.sock"}); err != nil {
		t.Fatal(err)
	}
	if status, text := do(t, "POST", url+"/proxies", `{"name":"theirs","upstream":"127.0.0.1:1"}`, nil); status != http.StatusCreated {
		t.Fatal(status, text)
	}
	if status, text := do(t, "POST", url+"/proxies/ours/toxics", `{"type":"latency","attributes":{"latency":5}}`, nil); status != http.StatusOK {
		t.Error(status, text)
	}
	all, err := c.Links(t.Context())
	if err != nil || len(all) != 2 || all[0].Name != "ours" || all[1].Name != "theirs" {
		t.Fatalf("%+v, %v", all, err)
	}
	if e := all[0].Effects["toxic/latency_downstream"]; e.Delay.String() != "5ms" || e.Direction != "downstream" {
		t.Errorf("the toxic is %+v", all[0].Effects)
	}
	if status, _ := do(t, "POST", url+"/proxies/ours", `{"enabled":false}`, nil); status != http.StatusOK {
		t.Error(status)
	}
	if err := c.DeleteLink(t.Context(), "theirs"); err != nil {
		t.Error(err)
	}
	if status, _ := do(t, "GET", url+"/proxies/theirs", "", nil); status != http.StatusNotFound {
		t.Errorf("a deleted link is a proxy still: %d", status)
	}
	if all, err := c.Links(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("%+v, %v", all, err)
	}
	if status, _ := do(t, "POST", url+"/reset", "", nil); status != http.StatusNoContent {
		t.Error(status)
	}
	if all, err := c.Links(t.Context()); err != nil || len(all) != 1 || all[0].Address != "/run/x.sock" || len(all[0].Effects) != 0 {
		t.Errorf("reset enabled %+v, %v", all, err)
	}
}

func TestToxiproxysConfigurationFileMakesProxies(t *testing.T) {
	file := filepath.Join(t.TempDir(), "toxiproxy.json")
	write(t, file, `[{"name":"web","listen":"127.0.0.1:0","upstream":"127.0.0.1:3000"}]`)
	_, links := start(t, Options{Config: file})
	if len(links) != 1 || !regexp.MustCompile(`^link web: 127\.0\.0\.1:\d+ → 127\.0\.0\.1:3000$`).MatchString(links[0]) {
		t.Errorf("%q", links)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestWrongOptionsAreRefusedWithAReason(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	dir := t.TempDir()
	write(t, dir+"/nameless.json", `[{"upstream":"127.0.0.1:1"}]`)
	write(t, dir+"/foreign.json", `[{"name":"db","upstream":"db.example:5432"}]`)
	write(t, dir+"/open.json", `[{"name":"db","listen":":5432","upstream":"127.0.0.1:1"}]`)
	write(t, dir+"/broken.json", `{`)
	for _, tc := range []struct {
		o    Options
		want string
	}{
		{Options{Listen: "8474"}, "--listen: "},
		{Options{Listen: "0.0.0.0:0"}, "--listen: 0.0.0.0:0 is not on loopback"},
		{Options{Listen: ":0"}, "set a token in $SHAKEDOWN_CHAOS_TOKEN"},
		{Options{Listen: taken.Addr().String()}, "is a daemon running already?"},
		{Options{RequireToken: true}, "--require-token: there is none"},
		{Options{Config: dir + "/none.json"}, "no such file"},
		{Options{Config: dir + "/nameless.json"}, "nameless.json: missing required field: name at proxy 1"},
		{Options{Config: dir + "/broken.json"}, "bad request body: unexpected EOF"},
		{Options{Config: dir + "/foreign.json"}, "add --allow-target db.example "},
		{Options{Config: dir + "/open.json"}, "add --allow-target 0.0.0.0 "},
	} {
		if tc.o.Listen == "" {
			tc.o.Listen = "127.0.0.1:0"
		}
		err := Run(t.Context(), io.Discard, tc.o)
		if _, ok := errors.AsType[*OptionError](err); !ok || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%+v: %v, want %q", tc.o, err, tc.want)
		}
	}
}

func TestLinksReachOnlyMachinesThatWereNamed(t *testing.T) {
	for _, tc := range []struct {
		spec    proxy.Spec
		named   []string
		refused string
	}{
		{proxy.Spec{Address: "127.0.0.1:1"}, nil, ""},
		{proxy.Spec{Address: "localhost:1", Listen: "[::1]:0"}, nil, ""},
		{proxy.Spec{Address: ":6379"}, nil, ""},
		{proxy.Spec{Network: "unix", Address: "/run/x.sock"}, nil, ""},
		{proxy.Spec{Network: "udp", Address: "10.0.0.7:53"}, nil, "--allow-target 10.0.0.7 "},
		{proxy.Spec{Address: "db.example:5432"}, nil, "--allow-target db.example "},
		{proxy.Spec{Address: "db.example:5432"}, []string{"db.example"}, ""},
		{proxy.Spec{Address: "nonsense"}, nil, "--allow-target nonsense "},
		{proxy.Spec{Address: "127.0.0.1:1", Listen: "0.0.0.0:0"}, nil, "--allow-target 0.0.0.0 "},
		{proxy.Spec{Address: "127.0.0.1:1", Listen: ":0"}, nil, "--allow-target 0.0.0.0 "},
		{proxy.Spec{Address: "127.0.0.1:1", Listen: ":0"}, []string{"0.0.0.0"}, ""},
		{proxy.Spec{Address: "127.0.0.1:1", Listen: "[::]:0"}, []string{"0.0.0.0"}, ""},
		{proxy.Spec{Address: "127.0.0.1:1", Listen: "10.0.0.1:0"}, []string{"0.0.0.0"}, "--allow-target 10.0.0.1 "},
	} {
		err := Options{AllowTargets: tc.named}.allowLink(tc.spec)
		if (err != nil) != (tc.refused != "") || err != nil && !strings.Contains(err.Error(), tc.refused) {
			t.Errorf("%+v with %q named: %v, want %q", tc.spec, tc.named, err, tc.refused)
		}
	}
}

func TestARefusedLinkIsAnErrorOfEitherAPI(t *testing.T) {
	url, _ := start(t, Options{})
	if status, text := do(t, "POST", url+"/proxies", `{"name":"a","upstream":"db.example:1"}`, nil); status != http.StatusForbidden || text == "" {
		t.Error(status, text)
	}
	if status, text := do(t, "PUT", url+"/v1/links/a", `{"address":"db.example:1"}`, nil); status != http.StatusBadRequest || text == "" {
		t.Error(status, text)
	}
	if status, _ := do(t, "POST", url+"/proxies", `{"name":"a","upstream":"127.0.0.1:1"}`, nil); status != http.StatusCreated {
		t.Fatal(status)
	}
	if status, text := do(t, "POST", url+"/proxies/a", `{"upstream":"db.example:1"}`, nil); status != http.StatusForbidden || text == "" {
		t.Error(status, text)
	}
	if status, text := do(t, "POST", url+"/populate", `[{"name":"a","listen":"0.0.0.0:0","upstream":"127.0.0.1:1"}]`, nil); status != http.StatusForbidden || text == "" {
		t.Error(status, text)
	}
	if status, _ := do(t, "GET", url+"/proxies/a", "", nil); status != http.StatusOK {
		t.Errorf("a refused change took the proxy away: %d", status)
	}
}

func TestCallersAreGuarded(t *testing.T) {
	open, _ := start(t, Options{})
	strict, _ := start(t, Options{Token: "secret", RequireToken: true})
	wide, _ := start(t, Options{Listen: "0.0.0.0:0", Token: "secret", AllowHosts: []string{"chaos.internal"}})
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(wide, "http://"))
	wide = "http://127.0.0.1:" + port
	host := func(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }
	for _, path := range []string{"/proxies", "/version", "/v1/links", "/metrics"} {
		for _, tc := range []struct {
			url  string
			edit func(*http.Request)
			want int
		}{
			{open, nil, http.StatusOK},
			{open, host("evil.example:8474"), http.StatusForbidden},
			{open, func(r *http.Request) { r.Header.Set("User-Agent", "Mozilla/5.0") }, http.StatusForbidden},
			{strict, nil, http.StatusUnauthorized},
			{strict, bearer("secret"), http.StatusOK},
			{wide, nil, http.StatusOK}, // from this machine
			{wide, host("10.0.0.7:8474"), http.StatusOK},
			{wide, host("chaos.internal"), http.StatusOK},
			{wide, host("evil.example"), http.StatusForbidden},
		} {
			if status, text := do(t, "GET", tc.url+path, "", tc.edit); status != tc.want {
				t.Errorf("%s: %d %s, want %d", fmt.Sprint(tc.url, path), status, text, tc.want)
			}
		}
	}
	if own := ownAddress(); own != "" { // a caller that is not on loopback
		if status, _ := do(t, "GET", "http://"+net.JoinHostPort(own, port)+"/proxies", "", nil); status != http.StatusUnauthorized {
			t.Errorf("a caller from %s needs no token: %d", own, status)
		}
		if status, _ := do(t, "GET", "http://any:secret@"+net.JoinHostPort(own, port)+"/proxies", "", nil); status != http.StatusOK {
			t.Errorf("the token in the URL is not taken: %d", status)
		}
	}
}

// ownAddress is an address of this machine that is not loopback's, if it has one.
func ownAddress() string {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return ""
	}
	for _, a := range addrs {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.To4() != nil && !ip.IP.IsLoopback() {
			return ip.IP.String()
		}
	}
	return ""
}
