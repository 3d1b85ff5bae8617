package retry

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"

	"shakedown/targets/serve"
)

// queueTest is a backend with one worker, whose calls end when the test says so. It lives in a bubble of package synctest.
type queueTest struct {
	*backend
	started []int64
	finish  chan struct{}
}

func newQueueTest(t *testing.T, queue int) *queueTest {
	q := &queueTest{finish: make(chan struct{})}
	q.backend = &backend{jobs: make(chan *job, queue), call: func(_ context.Context, key int64) error {
		q.started = append(q.started, key)
		<-q.finish
		return nil
	}}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	go func() { _ = q.work(ctx) }()
	return q
}

// ask sends a call and returns once it is answered, taken up or queued.
func (q *queueTest) ask(ctx context.Context, key int64) <-chan error {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.SetPathValue("key", strconv.FormatInt(key, 10))
	answer := make(chan error, 1)
	go func() {
		_, err := q.handle(ctx, r)
		answer <- err
	}()
	synctest.Wait()
	return answer
}

func TestTheBackendTakesCallsInTheOrderTheyCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueueTest(t, 10)
		answers := make([]<-chan error, 5)
		for key := range answers {
			answers[key] = q.ask(t.Context(), int64(key))
		}
		for i, a := range answers {
			q.finish <- struct{}{}
			if err := <-a; err != nil {
				t.Errorf("call %d: %v", i, err)
			}
		}
		if want := []int64{0, 1, 2, 3, 4}; !slices.Equal(q.started, want) {
			t.Errorf("it worked on %v, want %v", q.started, want)
		}
	})
}

func TestTheBackendRefusesPastItsQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueueTest(t, 2)
		working, first, second := q.ask(t.Context(), 0), q.ask(t.Context(), 1), q.ask(t.Context(), 2)
		if err := <-q.ask(t.Context(), 3); !errors.Is(err, serve.ErrRefused) {
			t.Errorf("the call past the queue got %v, want a refusal", err)
		}
		for _, a := range []<-chan error{working, first, second} {
			q.finish <- struct{}{}
			if err := <-a; err != nil {
				t.Errorf("a call within the queue got %v", err)
			}
		}
	})
}

func TestTheBackendWorksOnForCallersWhoLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueueTest(t, 2)
		ctx, leave := context.WithCancel(t.Context())
		working, queued := q.ask(ctx, 7), q.ask(ctx, 8)
		leave()
		if err := errors.Join(<-working, <-queued); !errors.Is(err, context.Canceled) {
			t.Errorf("callers who left got %v", err)
		}
		q.finish <- struct{}{}
		q.finish <- struct{}{} // blocks for ever, and fails the bubble, when nobody works on the second
		if want := []int64{7, 8}; !slices.Equal(q.started, want) {
			t.Errorf("it worked on %v, want %v", q.started, want)
		}
	})
}
