package api

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestWhoMayCall(t *testing.T) {
	open := Guard{Loopback: true}
	both := Guard{Loopback: true, Token: "secret", Hosts: func(h string) bool { return h == "chaos.internal" }}
	const here, there = "127.0.0.1:5000", "10.0.0.7:5000"
	for name, tc := range map[string]struct {
		guard  Guard
		caller string
		edit   func(*http.Request)
		want   int
	}{
		"nobody is let in by the zero guard": {Guard{}, here, nil, http.StatusUnauthorized},
		"an empty token is none":             {Guard{}, here, func(r *http.Request) { r.Header.Set("Authorization", "Bearer ") }, http.StatusUnauthorized},
		"this machine":                       {open, here, nil, http.StatusOK},
		"this machine, IPv6":                 {open, "[::1]:5000", nil, http.StatusOK},
		"this machine, IPv4 in IPv6":         {open, "[::ffff:127.0.0.1]:5000", nil, http.StatusOK},
		"another machine":                    {open, there, nil, http.StatusUnauthorized},
		"another machine, no token":          {both, there, nil, http.StatusUnauthorized},
		"another machine, bearer token":      {both, there, func(r *http.Request) { r.Header.Set("Authorization", "Bearer secret") }, http.StatusOK},
		"another machine, wrong token":       {both, there, func(r *http.Request) { r.Header.Set("Authorization", "Bearer secre") }, http.StatusUnauthorized},
		"another machine, password":          {both, there, func(r *http.Request) { r.SetBasicAuth("any", "secret") }, http.StatusOK},
		"another machine, wrong password":    {both, there, func(r *http.Request) { r.SetBasicAuth("secret", "any") }, http.StatusUnauthorized},
		"a host of its own":                  {both, here, func(r *http.Request) { r.Host = "chaos.internal:8474" }, http.StatusOK},
		"a foreign host":                     {both, here, func(r *http.Request) { r.Host = "evil.example:8474" }, http.StatusForbidden},
		"a foreign host, with the token": {both, there, func(r *http.Request) {
			r.Host = "evil.example"
			r.Header.Set("Authorization", "Bearer secret")
		}, http.StatusForbidden},
		"an address where only loopback is expected": {open, here, func(r *http.Request) { r.Host = "10.0.0.7" }, http.StatusForbidden},
		"a bare IPv6 host":                           {open, here, func(r *http.Request) { r.Host = "[::1]" }, http.StatusOK},
		"a page":                                     {open, here, func(r *http.Request) { r.Header.Set("Origin", "http://localhost") }, http.StatusForbidden},
		"a page without origin":                      {open, here, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, http.StatusForbidden},
		"an image of a page":                         {open, here, func(r *http.Request) { r.Header.Set("Sec-Fetch-Dest", "image") }, http.StatusForbidden},
		"an old browser":                             {open, here, func(r *http.Request) { r.Header.Set("User-Agent", "Mozilla/5.0 (X11)") }, http.StatusForbidden},
		"Node.js, which is none":                     {open, here, func(r *http.Request) { r.Header.Set("Sec-Fetch-Mode", "cors") }, http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:8474/proxies", nil)
			r.RemoteAddr = tc.caller
			if tc.edit != nil {
				tc.edit(r)
			}
			w := httptest.NewRecorder()
			tc.guard.protects(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })).ServeHTTP(w, r)
			if w.Code != tc.want {
				t.Errorf("%d %s, want %d", w.Code, w.Body, tc.want)
			}
		})
	}
}
