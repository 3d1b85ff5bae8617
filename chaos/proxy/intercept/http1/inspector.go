package http1

import (
	"bytes"
	"slices"
	"strings"

	"shakedown/chaos"
	"shakedown/chaos/proxy/intercept"
)

// An Inspector keeps the rules of one link to an HTTP server.
type Inspector struct {
	*intercept.Table[match]
}

var _ intercept.Inspector = (*Inspector)(nil)

// New makes the inspector of a link.
func New(link string) *Inspector {
	return &Inspector{intercept.NewTable(link, chaos.HTTP, compile)}
}

// Open follows the nth connection of the link.
func (in *Inspector) Open(conn uint64) intercept.Filter { return newFilter(in.Seat(conn)) }

// A match is what a rule looks for.
type match struct {
	*chaos.HTTPRule
	methods []string // none is every one
	path    intercept.Glob
}

type rule = intercept.Active[match]

func compile(r chaos.Rule) (match, error) {
	m := match{HTTPRule: r.HTTP, path: intercept.Glob(r.HTTP.Path)}
	for method := range strings.SplitSeq(r.HTTP.Method, ",") {
		if method = strings.TrimSpace(method); method != "" {
			m.methods = append(m.methods, method)
		}
	}
	return m, nil
}

func (m match) matches(method string, path []byte) bool {
	return (len(m.methods) == 0 || slices.Contains(m.methods, method)) && m.path.Match(path)
}

// pathOf is the path of a request's target, without its query: "/a?b" and "http://host/a?b" have "/a".
func pathOf(target []byte) []byte {
	if scheme := bytes.Index(target, []byte("://")); scheme >= 0 && !bytes.HasPrefix(target, []byte("/")) {
		rest := target[scheme+3:]
		if slash := bytes.IndexByte(rest, '/'); slash >= 0 {
			target = rest[slash:]
		} else {
			target = []byte("/")
		}
	}
	path, _, _ := bytes.Cut(target, []byte("?"))
	return path
}
