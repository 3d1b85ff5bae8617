package wire

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"shakedown/bench"
)

// parse feeds a response in pieces of the given size, and then ends the connection.
func parse(raw string, bodyless bool, piece int) (r response, rest int, err error) {
	r.begin(bodyless)
	b := []byte(raw)
	for len(b) > 0 {
		n := min(piece, len(b))
		left, done, err := r.feed(b[:n])
		b = b[n:]
		if err != nil {
			return r, 0, err
		}
		if done {
			return r, len(left) + len(b), nil
		}
	}
	if r.closed() {
		return r, 0, nil
	}
	return r, 0, errTruncated
}

func TestAResponseIsReadInWhateverPiecesItComes(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for name, c := range map[string]struct {
		raw      string
		bodyless bool
		status   int
		keep     bool
		rest     int
		outcome  bench.Outcome
		err      error
	}{
		"length":                  {raw: ok + "Content-Length: 5\r\n\r\nhello", status: 200, keep: true, outcome: bench.OK},
		"no body":                 {raw: ok + "Content-Length: 0\r\n\r\n", status: 200, keep: true, outcome: bench.OK},
		"more than the length":    {raw: ok + "Content-Length: 2\r\n\r\nhello", status: 200, keep: true, rest: 3, outcome: bench.OK},
		"until the end":           {raw: ok + "\r\nhello", status: 200, outcome: bench.OK},
		"until the end, nothing":  {raw: ok + "\r\n", status: 200, outcome: bench.OK},
		"chunks":                  {raw: ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1A;x=y\r\n" + strings.Repeat("a", 26) + "\r\n0\r\n\r\n", status: 200, keep: true, outcome: bench.OK},
		"chunks and trailers":     {raw: ok + "transfer-encoding: gzip, Chunked\r\n\r\n1\r\na\r\n0\r\nX: y\r\nZ: z\r\n\r\n", status: 200, keep: true, outcome: bench.OK},
		"another coding":          {raw: ok + "Transfer-Encoding: gzip\r\nContent-Length: 2\r\n\r\nabcdef", status: 200, outcome: bench.OK},
		"chunks and a length":     {raw: ok + "Transfer-Encoding: chunked\r\nContent-Length: 99\r\n\r\n1\r\na\r\n0\r\n\r\n", status: 200, outcome: bench.OK},
		"the same length twice":   {raw: ok + "Content-Length: 2\r\nContent-Length: 2\r\n\r\nab", status: 200, keep: true, outcome: bench.OK},
		"HEAD":                    {raw: ok + "Content-Length: 500\r\n\r\n", bodyless: true, status: 200, keep: true, outcome: bench.OK},
		"no content":              {raw: "HTTP/1.1 204 No Content\r\n\r\n", status: 204, keep: true, outcome: bench.OK},
		"not modified":            {raw: "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", status: 304, keep: true, outcome: bench.Failed},
		"close":                   {raw: ok + "Connection: Close\r\nContent-Length: 1\r\n\r\na", status: 200, outcome: bench.OK},
		"close among others":      {raw: ok + "Connection: x, close , y\r\nContent-Length: 1\r\n\r\na", status: 200, outcome: bench.OK},
		"HTTP/1.0":                {raw: "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", status: 200, outcome: bench.OK},
		"HTTP/1.0 that keeps":     {raw: "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\na", status: 200, keep: true, outcome: bench.OK},
		"interim":                 {raw: "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + ok + "Content-Length: 1\r\n\r\na", status: 200, keep: true, outcome: bench.OK},
		"bare line feeds":         {raw: "HTTP/1.1 200 OK\nContent-Length: 1\n\na", status: 200, keep: true, outcome: bench.OK},
		"no reason":               {raw: "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", status: 200, keep: true, outcome: bench.OK},
		"folded":                  {raw: ok + "X: a\r\n b\r\nContent-Length: 0\r\n\r\n", status: 200, keep: true, outcome: bench.OK},
		"refused":                 {raw: "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", status: 503, keep: true, outcome: bench.Refused},
		"too many requests":       {raw: "HTTP/1.1 429 No\r\nContent-Length: 0\r\n\r\n", status: 429, keep: true, outcome: bench.Refused},
		"failed":                  {raw: "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", status: 500, keep: true, outcome: bench.Failed},
		"says degraded":           {raw: ok + "Shakedown-Outcome: degraded\r\nContent-Length: 0\r\n\r\n", status: 200, keep: true, outcome: bench.Degraded},
		"says refused":            {raw: "HTTP/1.1 500 No\r\nShakedown-Outcome: refused\r\nContent-Length: 0\r\n\r\n", status: 500, keep: true, outcome: bench.Refused},
		"says unsure":             {raw: "HTTP/1.1 504 No\r\nShakedown-Outcome: unsure\r\nContent-Length: 0\r\n\r\n", status: 504, keep: true, outcome: bench.Unsure},
		"broken off in the head":  {raw: ok + "Content-Le", err: errTruncated},
		"broken off in the body":  {raw: ok + "Content-Length: 5\r\n\r\nhel", err: errTruncated},
		"broken off in a chunk":   {raw: ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhel", err: errTruncated},
		"no last chunk":           {raw: ok + "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n", err: errTruncated},
		"not HTTP":                {raw: "SSH-2.0-OpenSSH_9.2\r\n", err: errNotHTTP},
		"HTTP/2":                  {raw: "HTTP/2 200 OK\r\n\r\n", err: errNotHTTP},
		"no status":               {raw: "HTTP/1.1 abc OK\r\n\r\n", err: errNotHTTP},
		"status 99":               {raw: "HTTP/1.1 099 OK\r\n\r\n", err: errNotHTTP},
		"upgrade":                 {raw: "HTTP/1.1 101 Switching\r\n\r\n", err: errUpgrade},
		"no colon":                {raw: ok + "nonsense\r\n\r\n", err: errHeader},
		"negative length":         {raw: ok + "Content-Length: -1\r\n\r\n", err: errLength},
		"two lengths":             {raw: ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", err: errLength},
		"a length beyond measure": {raw: ok + "Content-Length: 99999999999999999999\r\n\r\n", err: errLength},
		"chunk of no size":        {raw: ok + "Transfer-Encoding: chunked\r\n\r\n\r\n", err: errChunk},
		"chunk of a strange size": {raw: ok + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n", err: errChunk},
		"chunk beyond measure":    {raw: ok + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n", err: errChunk},
		"chunk longer than said":  {raw: ok + "Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", err: errChunk},
		"endless interim":         {raw: strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", maxInterim+1), err: errInterim},
		"endless line":            {raw: strings.Repeat("a", maxLine+1), err: errTooLong},
		"endless head":            {raw: ok + strings.Repeat("X: "+strings.Repeat("a", 1000)+"\r\n", 1100), err: errTooLong},
	} {
		for _, piece := range []int{len(c.raw), 1, 2, 3, 7, 100} {
			if piece > len(c.raw) || piece < 7 && len(c.raw) > 10_000 {
				continue
			}
			r, rest, err := parse(c.raw, c.bodyless, piece)
			if !errors.Is(err, c.err) {
				t.Errorf("%s, %d bytes at a time: error %v, want %v", name, piece, err, c.err)
				continue
			}
			if err != nil {
				continue
			}
			if r.status != c.status || r.keep != c.keep || rest != c.rest || r.outcome() != c.outcome {
				t.Errorf("%s, %d bytes at a time: status %d, keep %v, %d bytes left, %v; want %d, %v, %d, %v",
					name, piece, r.status, r.keep, rest, r.outcome(), c.status, c.keep, c.rest, c.outcome)
			}
		}
	}
}

func TestAServiceSaysMoreThanItsStatus(t *testing.T) {
	r, _, err := parse("HTTP/1.1 200 OK\r\nshakedown-flags: hit,stale\r\nShakedown-Value: -42\r\nContent-Length: 0\r\n\r\n", false, 9)
	if err != nil || r.flags != bench.Hit|bench.Stale || r.value != -42 {
		t.Errorf("flags %v, value %d, error %v", r.flags, r.value, err)
	}
	if r, _, err = parse("HTTP/1.1 200 OK\r\nShakedown-Value: many\r\nContent-Length: 0\r\n\r\n", false, 9); err != nil || r.value != 0 {
		t.Errorf("value %d, error %v", r.value, err)
	}
}

// What net/http reads as a response, the parser reads as the same response, whatever the pieces; what the parser makes of anything else, it does not crash.
func TestAnAnswerLikeTheLastIsTakenForWhatThatWasReadAs(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nShakedown-Value: 7\r\nConnection: close\r\n\r\nhi"
	var m model
	learn := func(raw string, bodyless bool) (r response) {
		r.begin(bodyless)
		if _, done, err := r.feed([]byte(raw)); !done || err != nil {
			t.Fatalf("%q: done %v, %v", raw, done, err)
		}
		m.take(&r, []byte(raw))
		return r
	}
	same := func(a, b response) bool {
		return a.status == b.status && a.keep == b.keep && a.value == b.value && a.flags == b.flags && a.said == b.said && a.began && b.began
	}
	read := learn(ok, false)
	var r response
	if r.begin(false); !m.matches(&r, []byte(ok)) || !same(r, read) {
		t.Errorf("the same answer is %+v, want %+v", r, read)
	}
	for why, b := range map[string]string{"another": strings.Replace(ok, "200", "503", 1), "the beginning": ok[:30], "nothing": "", "more": ok + ok} {
		if r.begin(false); m.matches(&r, []byte(b)) || r.began {
			t.Errorf("%s matches", why)
		}
	}
	if r.begin(true); m.matches(&r, []byte(ok)) {
		t.Error("it matches the answer to a HEAD")
	}
	r.begin(false)
	if _, _, err := r.feed([]byte("HTTP/1.1 2")); err != nil || m.matches(&r, []byte(ok)) {
		t.Errorf("it matches within an answer, %v", err)
	}
	if refused := learn("HTTP/1.1 429 No\r\nContent-Length: 0\r\n\r\n", false); refused.outcome() != bench.Refused {
		t.Errorf("%+v", refused)
	}
	if r.begin(false); m.matches(&r, []byte(ok)) {
		t.Error("it matches the one before the last")
	}
	long := "HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + strings.Repeat("x", 2000)
	learn(long, false)
	if r.begin(false); m.matches(&r, []byte(long)) {
		t.Error("a long answer is kept")
	}
}

func FuzzResponse(f *testing.F) {
	for _, seed := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"HTTP/1.0 404 Not Found\r\nConnection: keep-alive\r\n\r\nx", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\n\r\n", "HTTP/1.1 200\n\n", "\x00\xff\r\n\r\n",
	} {
		f.Add([]byte(seed), uint8(3), false)
	}
	f.Fuzz(func(t *testing.T, raw []byte, piece uint8, head bool) {
		whole, _, err := parse(string(raw), head, max(len(raw), 1))
		again, _, errAgain := parse(string(raw), head, max(int(piece), 1))
		if fmt.Sprint(err) != fmt.Sprint(errAgain) || err == nil && (whole.status != again.status || whole.keep != again.keep || whole.outcome() != again.outcome()) {
			t.Fatalf("%q: whole %+v, %v; in pieces of %d %+v, %v", raw, whole, err, piece, again, errAgain)
		}
		method := http.MethodGet
		if head {
			method = http.MethodHead
		}
		std, stdErr := http.ReadResponse(bufio.NewReader(bytes.NewReader(raw)), &http.Request{Method: method}) //nolint:bodyclose // it is in memory
		if stdErr != nil || std.StatusCode < 200 || std.ProtoMajor != 1 || std.ContentLength < 0 && len(std.TransferEncoding) == 0 {
			return
		}
		if _, stdErr = io.Copy(io.Discard, std.Body); stdErr != nil {
			return
		}
		if err != nil && !stricter(err) {
			t.Fatalf("%q: net/http reads it, with status %d; %v", raw, std.StatusCode, err)
		}
		if err == nil && whole.status != std.StatusCode {
			t.Fatalf("%q: status %d, net/http says %d", raw, whole.status, std.StatusCode)
		}
	})
}

// stricter are errors of what net/http lets pass: other minor versions and statuses, lengths written strangely.
func stricter(err error) bool {
	return errors.Is(err, errNotHTTP) || errors.Is(err, errLength) || errors.Is(err, errHeader) || errors.Is(err, errChunk)
}

func BenchmarkResponse(b *testing.B) {
	raw := []byte("HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Mon, 23 Nov 2026 18:46:17 GMT\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello")
	var r response
	b.ReportAllocs()
	for b.Loop() {
		r.begin(false)
		if _, done, err := r.feed(raw); !done || err != nil {
			b.Fatal(done, err)
		}
	}
}
