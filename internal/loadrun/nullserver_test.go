package loadrun

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestTheNullServerAnswersEveryRequest(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	s, err := newNullServer()
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for _, body := range []string{"", "x", strings.Repeat("long ", 100_000), "again"} {
		resp, err := client.Post("http://"+s.addr+"/any?thing=1", "text/plain", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		if err != nil || string(got) != "ok" || resp.StatusCode != http.StatusOK {
			t.Errorf("a body of %d bytes was answered with %d, %q, %v", len(body), resp.StatusCode, got, err)
		}
		_ = resp.Body.Close()
	}
}

func TestARequestIsWholeWhereverItIsCut(t *testing.T) {
	for _, request := range []string{
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
		"POST / HTTP/1.1\r\ncontent-LENGTH:  5 \r\nHost: x\r\n\r\nhello",
		"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
	} {
		for cut := 1; cut < len(request); cut++ {
			var c nullConn
			first, second := []byte(request[:cut]), []byte(request[cut:])
			if c.take(first) {
				t.Errorf("%q is taken for whole", first)
			}
			clear(first) // the buffer is the server's again
			if !c.take(bytes.Clone(second)) {
				t.Errorf("%q, cut at %d, is not taken for whole", request, cut)
			}
		}
	}
}
