package api

import (
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// A Guard decides who may call. Its zero value lets nobody in.
//
// A page in a browser can reach loopback, by a cross-site request or by a name of its own that it makes resolve to
// 127.0.0.1 (DNS rebinding), and its visitor's machine is the last that it should be able to hurt. So browsers are
// refused, whatever else they bring, and so are requests for a host that is not expected.
type Guard struct {
	// Token is what callers show: as a bearer token, or as the password of basic authentication, which is what most
	// clients make of http://any:TOKEN@host:port.
	Token string
	// Loopback lets callers on this machine in without a token.
	Loopback bool
	// Hosts says whether requests may be for a host that is not loopback's; nil says that none may.
	Hosts func(host string) bool
}

// protects wraps a handler; it refuses in JSON that clients of every API here can read.
func (g Guard) protects(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch host := hostOf(r.Host); {
		case browser(r.Header):
			fail(w, refuse(http.StatusForbidden, "browsers are refused"))
		case !loopbackHost(r.Host) && (g.Hosts == nil || !g.Hosts(host)):
			fail(w, refuse(http.StatusForbidden, "host %q is not this machine's loopback, nor named as one of its own", host))
		case !g.known(r):
			w.Header().Set("WWW-Authenticate", "Bearer")
			fail(w, refuse(http.StatusUnauthorized, "a bearer token is needed"))
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// known says whether the caller may call.
func (g Guard) known(r *http.Request) bool {
	if g.Loopback && loopbackHost(r.RemoteAddr) {
		return true
	}
	shown, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		_, shown, ok = r.BasicAuth()
	}
	return ok && g.Token != "" && subtle.ConstantTimeCompare([]byte(shown), []byte(g.Token)) == 1
}

// browser says whether a page in a browser sent the request. Pages cannot leave these headers out, nor set them
// (forbidden headers of the Fetch standard). Node.js sends Sec-Fetch-Mode, and is no browser.
func browser(h http.Header) bool {
	return h.Get("Origin") != "" || h.Get("Sec-Fetch-Site") != "" || h.Get("Sec-Fetch-Dest") != "" ||
		strings.HasPrefix(h.Get("User-Agent"), "Mozilla/")
}

// hostOf is the host of a Host header or an address, which may lack a port.
func hostOf(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.Trim(hostport, "[]")
}

// loopbackHost says whether a Host header or an address names this machine's loopback.
func loopbackHost(hostport string) bool {
	host := hostOf(hostport)
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
