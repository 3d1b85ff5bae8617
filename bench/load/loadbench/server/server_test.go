package server

import (
	"container/heap"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"shakedown/bench/load/loadbench/queueing"
)

func start(t *testing.T, b Behaviour) *Server {
	t.Helper()
	s, err := New(b, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// get is the time that the server says a request spent in it, and its body.
func get(t *testing.T, c *http.Client, url string) (spent time.Duration, body []byte) {
	t.Helper()
	r, err := c.Get(url)
	if err != nil {
		t.Error(err)
		return 0, nil
	}
	defer func() { _ = r.Body.Close() }()
	body, err = io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
	}
	ns, _ := strconv.ParseInt(r.Header.Get("X-Spent-Ns"), 10, 64)
	return time.Duration(ns), body
}

func TestRequestsSpendInTheQueueWhatItSays(t *testing.T) {
	const service = 5 * time.Millisecond
	s := start(t, Queue{queueing.NewStation(queueing.Queue{Servers: 1, MeanS: service.Seconds(), Fixed: true}, 1)})
	c := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	defer c.CloseIdleConnections()
	var longest time.Duration
	var mu sync.Mutex
	var asking sync.WaitGroup
	for range 8 {
		asking.Go(func() {
			spent, _ := get(t, c, "http://"+s.Addr()+"/")
			if spent < service {
				t.Errorf("a request spent %v in the server, its service takes %v", spent, service)
			}
			mu.Lock()
			longest = max(longest, spent)
			mu.Unlock()
		})
	}
	asking.Wait()
	var said Stated
	if _, body := get(t, c, "http://"+s.Addr()+"/stated"); json.Unmarshal(body, &said) != nil || said.N != 8 {
		t.Fatalf("stated %s", body)
	}
	if want := float64(longest) / 1e6; said.P999 != want {
		t.Errorf("the longest of 8 is stated as %v ms, and was %v ms", said.P999, want)
	}
}

func TestNothingIsAnsweredInAFreeze(t *testing.T) {
	f := Freeze{Every: 20 * time.Millisecond, For: 10 * time.Millisecond}
	s := start(t, f)
	c := &http.Client{}
	defer c.CloseIdleConnections()
	for met := 0; met < 5; {
		until := f.Frozen(s.now())
		get(t, c, "http://"+s.Addr()+"/")
		if until == 0 {
			continue
		}
		met++
		if now := s.now(); now < until {
			t.Fatalf("a request was answered %v before the end of the freeze that it came in", until-now)
		}
	}
}

func TestFreezesAreSpreadAndAsLongAsTheyShouldBe(t *testing.T) {
	f := Freeze{Every: time.Second, For: 100 * time.Millisecond}
	const step = 10 * time.Microsecond
	frozen, begins := 0, map[time.Duration]bool{}
	for now := time.Duration(0); now < 20*time.Second; now += step {
		if until := f.Frozen(now); until > 0 {
			frozen++
			begins[until%time.Second] = true
		}
	}
	if share := float64(frozen) * step.Seconds() / 20; share < 0.0999 || share > 0.1001 {
		t.Errorf("frozen for %.4f of the time, want 0.1", share)
	}
	if len(begins) != 20 {
		t.Errorf("20 freezes end at %d points of a second", len(begins))
	}
}

func TestTheWaitsOfAFreezeAreThoseOfRequestsDueAtAnyTime(t *testing.T) {
	f := Freeze{Every: time.Second, For: 100 * time.Millisecond}
	var waits []float64
	for now := time.Duration(0); now < 20*time.Second; now += 100 * time.Microsecond {
		waits = append(waits, max(0, f.Frozen(now)-now).Seconds())
	}
	slices.Sort(waits)
	for p, want := range map[float64]time.Duration{
		0.5: 0, 0.90: 0, 0.95: 50 * time.Millisecond, 0.99: 90 * time.Millisecond, 0.999: 99 * time.Millisecond,
	} {
		if got := f.Wait(p).Round(time.Microsecond); got != want {
			t.Errorf("p%v is %v, want %v", 100*p, got, want)
		}
		if got := queueing.At(waits, p); got < want.Seconds()-0.0002 || got > want.Seconds()+0.0002 {
			t.Errorf("p%v of requests at all times is %v s, want %v", 100*p, got, want)
		}
	}
}

func TestASilentServerReadsAndNeverAnswers(t *testing.T) {
	s := start(t, Silent{})
	c, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read %d bytes, %v", n, err)
	}
}

func TestWhatIsAnsweredAtOneTimeIsAnsweredInTheOrderInWhichItCame(t *testing.T) {
	var d departures
	for _, read := range []time.Duration{3, 1, 4, 0, 2} {
		heap.Push(&d, departure{at: 9, read: read})
	}
	heap.Push(&d, departure{at: 8, read: 5})
	for _, want := range []time.Duration{5, 0, 1, 2, 3, 4} {
		if got := heap.Pop(&d).(departure).read; got != want {
			t.Errorf("what came at %d leaves, want what came at %d", got, want)
		}
	}
}
