package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"shakedown/bench"
)

// The headers in which an answer states facts that its status does not. The generator reads them.
const (
	HeaderOutcome = "Shakedown-Outcome" // "degraded", "refused" or "unsure"; absent otherwise
	HeaderFlags   = "Shakedown-Flags"   // bench.Flags as text; absent when there are none
	HeaderValue   = "Shakedown-Value"   // a decimal; absent when it is 0
)

// Errors that a handler returns, wrapped or not, to say more than "it failed".
var (
	// ErrRefused: turned away on purpose (shed, rate limited, breaker open). Status 503.
	ErrRefused = errors.New("refused")
	// ErrUnsure: it may have happened (a connection that ended before the answer came). Status 504, as after a time-out.
	ErrUnsure = errors.New("it may have happened")
	// ErrBadRequest: the request makes no sense. Status 400.
	ErrBadRequest = errors.New("bad request")
)

// An Answer is what a handler says of one request.
type Answer struct {
	// Body is sent as it is when it is a []byte or a string, and as JSON otherwise; nil is an empty body.
	Body any
	// Outcome is OK, Degraded, Refused or Failed. The zero value means OK here: a handler that answers knows what happened.
	Outcome bench.Outcome
	Flags   bench.Flags
	// Value is what was read or written, as the operation defines it; caches state the age of the answer in µs.
	Value int64
}

// A HandlerFunc answers one operation. The context ends when the client hangs up or the service has to stop.
// An error wins over the answer, except for its Flags, which are sent in any case.
type HandlerFunc func(ctx context.Context, r *http.Request) (Answer, error)

// Handle routes an operation; pattern is one of http.ServeMux, "GET /item/{key}", and a clash panics as it does there.
// op is the operation's name in the workload and becomes a label, so it must come from code.
//
// Errors become status codes: ErrRefused 503, ErrUnsure, a deadline or another time-out 504, ErrBadRequest 400, any other 500.
// A panic is logged, counted and becomes 500.
func (s *Server) Handle(op, pattern string, h HandlerFunc) {
	m := s.metrics.op(op)
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		if !s.requests.enter() {
			http.Error(w, "stopping", http.StatusServiceUnavailable)
			return
		}
		defer s.requests.exit()
		start := time.Now()
		m.inFlight.Inc()
		defer m.inFlight.Dec()
		answer, err := s.call(op, h, r)
		m.observe(write(w, answer, err), time.Since(start))
	})
}

// call runs the handler and turns a panic into an error.
func (s *Server) call(op string, h HandlerFunc, r *http.Request) (a Answer, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.metrics.panics.WithLabelValues(op).Inc()
			s.log.Error("handler panicked", "op", op, "panic", p, "stack", string(debug.Stack()))
			a, err = Answer{}, fmt.Errorf("panic: %v", p)
		}
	}()
	return h(r.Context(), r)
}

// write sends the answer and returns the outcome that it stands for.
func write(w http.ResponseWriter, a Answer, err error) bench.Outcome {
	var body []byte
	var contentType string
	if err == nil {
		body, contentType, err = encode(a.Body)
	}
	outcome, status := a.Outcome, http.StatusOK
	if err != nil {
		outcome, status = judge(err)
		body, contentType = []byte(err.Error()+"\n"), "text/plain; charset=utf-8"
	} else {
		switch outcome {
		case bench.Unsure:
			outcome = bench.OK
		case bench.Refused:
			status = http.StatusServiceUnavailable
		case bench.Failed, bench.Unsent:
			outcome, status = bench.Failed, http.StatusInternalServerError
		}
	}
	h := w.Header()
	if outcome == bench.Degraded || outcome == bench.Refused || errors.Is(err, ErrUnsure) {
		h.Set(HeaderOutcome, outcome.String())
	}
	if a.Flags != 0 {
		h.Set(HeaderFlags, a.Flags.String())
	}
	if a.Value != 0 && err == nil {
		h.Set(HeaderValue, strconv.FormatInt(a.Value, 10))
	}
	if contentType != "" {
		h.Set("Content-Type", contentType)
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that hung up has its own record of that
	return outcome
}

func encode(body any) (raw []byte, contentType string, err error) {
	switch b := body.(type) {
	case nil:
		return nil, "", nil
	case []byte:
		return b, "application/octet-stream", nil
	case string:
		return []byte(b), "text/plain; charset=utf-8", nil
	}
	raw, err = json.Marshal(body)
	if err != nil {
		return nil, "", fmt.Errorf("encoding the answer: %w", err)
	}
	return raw, "application/json", nil
}

// judge says what an error means for the request. After a time-out it may have happened.
func judge(err error) (bench.Outcome, int) {
	switch {
	case errors.Is(err, ErrRefused):
		return bench.Refused, http.StatusServiceUnavailable
	case errors.Is(err, ErrBadRequest):
		return bench.Failed, http.StatusBadRequest
	case isTimeout(err), errors.Is(err, ErrUnsure):
		return bench.Unsure, http.StatusGatewayTimeout
	case errors.Is(err, context.Canceled):
		return bench.Unsure, http.StatusInternalServerError
	default:
		return bench.Failed, http.StatusInternalServerError
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

// Key is the request's {key}, the number that the workload drew. A path without one, or with something else, is
// ErrBadRequest.
func Key(r *http.Request) (int64, error) {
	key, err := strconv.ParseInt(r.PathValue("key"), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: key %q is not a number", ErrBadRequest, r.PathValue("key"))
	}
	return key, nil
}
