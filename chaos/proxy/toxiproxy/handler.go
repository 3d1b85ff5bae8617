package toxiproxy

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"shakedown/chaos/proxy"
)

// Version is the version of Toxiproxy whose API this is.
const Version = "2.12.0"

// mostBytes bounds a request; a list of proxies is the longest.
const mostBytes = 16 << 20

// Options of the API.
type Options struct {
	// Allow says why a link must not be; nil allows every one. An *APIError keeps its status.
	Allow func(proxy.Spec) error
	// Seed is what decides which connections a toxic of a toxicity below 1 acts on.
	Seed uint64
}

// A Handler answers the API. Make one with New.
type Handler struct {
	collection *collection
	mux        *http.ServeMux
}

// A reply is what a request comes to: a status, and a body unless it is nil.
type reply struct {
	status int
	body   any
}

// New answers for the links of a proxy.
func New(p *proxy.Proxy, o Options) *Handler {
	if o.Allow == nil {
		o.Allow = func(proxy.Spec) error { return nil }
	}
	h := &Handler{
		collection: &collection{links: p, allow: o.Allow, seed: o.Seed, proxies: map[string]*Proxy{}},
		mux:        http.NewServeMux(),
	}
	for path, methods := range map[string]map[string]func(*http.Request) (reply, error){
		"/reset":           {"POST": h.reset},
		"/populate":        {"POST": h.populate},
		"/proxies":         {"GET": h.proxies, "POST": h.createProxy},
		"/proxies/{proxy}": {"GET": h.proxy, "POST": h.updateProxy, "PATCH": h.updateProxy, "DELETE": h.removeProxy},
		"/proxies/{proxy}/toxics": {
			"GET": h.toxics, "POST": h.createToxic,
		},
		"/proxies/{proxy}/toxics/{toxic}": {
			"GET": h.toxic, "POST": h.updateToxic, "PATCH": h.updateToxic, "DELETE": h.removeToxic,
		},
	} {
		h.mux.HandleFunc(path, only(methods))
	}
	h.mux.HandleFunc("/version", version)
	return h
}

// Populate makes the proxies of a list, as a request to /populate does, and as Toxiproxy does with its configuration file.
func (h *Handler) Populate(ctx context.Context, list io.Reader) error {
	_, err := h.collection.populate(ctx, list)
	return err
}

// ServeHTTP gives each request an id, as Toxiproxy does.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Toxiproxy-Request-Id", rand.Text())
	r.Body = http.MaxBytesReader(w, r.Body, mostBytes)
	h.mux.ServeHTTP(w, r)
}

// only answers the methods of a path; others get a status and nothing else, as Toxiproxy's router has it.
func only(methods map[string]func(*http.Request) (reply, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		answer, ok := methods[r.Method]
		if !ok {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		got, err := answer(r)
		if err != nil {
			fail(w, err)
			return
		}
		got.write(w)
	}
}

func (a reply) write(w http.ResponseWriter) {
	if a.body == nil {
		w.WriteHeader(a.status)
		return
	}
	text, err := json.Marshal(a.body)
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.status)
	_, _ = w.Write(text) // fails when the client is gone, who then needs no answer
}

func version(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Content-Type", "application/json;charset=utf-8")
	fmt.Fprintf(w, "{\"version\": %q}\n", Version)
}

func (h *Handler) reset(r *http.Request) (reply, error) {
	return reply{status: http.StatusNoContent}, h.collection.reset(r.Context())
}

// populate answers with the proxies that it made before it failed, and why it did.
func (h *Handler) populate(r *http.Request) (reply, error) {
	made, err := h.collection.populate(r.Context(), r.Body)
	got := struct {
		*APIError
		Proxies []view `json:"proxies"`
	}{Proxies: made}
	if err == nil {
		return reply{http.StatusCreated, got}, nil
	}
	got.APIError = asAPI(err)
	return reply{got.StatusCode, got}, nil
}

func (h *Handler) proxies(*http.Request) (reply, error) {
	return reply{http.StatusOK, h.collection.all()}, nil
}

func (h *Handler) createProxy(r *http.Request) (reply, error) {
	v, err := h.collection.create(r.Context(), r.Body)
	return reply{http.StatusCreated, v}, err
}

func (h *Handler) proxy(r *http.Request) (reply, error) {
	v, err := h.collection.one(r.PathValue("proxy"))
	return reply{http.StatusOK, v}, err
}

func (h *Handler) updateProxy(r *http.Request) (reply, error) {
	v, err := h.collection.update(r.Context(), r.PathValue("proxy"), r.Body)
	return reply{http.StatusOK, v}, err
}

func (h *Handler) removeProxy(r *http.Request) (reply, error) {
	return reply{status: http.StatusNoContent}, h.collection.remove(r.PathValue("proxy"))
}

func (h *Handler) toxics(r *http.Request) (reply, error) {
	all, err := h.collection.toxicsOf(r.PathValue("proxy"))
	return reply{http.StatusOK, all}, err
}

func (h *Handler) createToxic(r *http.Request) (reply, error) {
	t, err := h.collection.addToxic(r.Context(), r.PathValue("proxy"), r.Body)
	return reply{http.StatusOK, t}, err
}

func (h *Handler) toxic(r *http.Request) (reply, error) {
	t, err := h.collection.toxicOf(r.PathValue("proxy"), r.PathValue("toxic"))
	return reply{http.StatusOK, t}, err
}

func (h *Handler) updateToxic(r *http.Request) (reply, error) {
	t, err := h.collection.updateToxic(r.Context(), r.PathValue("proxy"), r.PathValue("toxic"), r.Body)
	return reply{http.StatusOK, t}, err
}

func (h *Handler) removeToxic(r *http.Request) (reply, error) {
	return reply{status: http.StatusNoContent}, h.collection.removeToxic(r.Context(), r.PathValue("proxy"), r.PathValue("toxic"))
}
