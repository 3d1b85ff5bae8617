package serve

import "github.com/prometheus/client_golang/prometheus"

// A Cache counts what one cache was good for.
type Cache struct {
	hits, misses, rebuilds prometheus.Counter
}

// Cache is the counter for the named cache; the same name gives the same series.
func (s *Server) Cache(name string) *Cache {
	return &Cache{
		hits:     s.metrics.hits.WithLabelValues(name),
		misses:   s.metrics.misses.WithLabelValues(name),
		rebuilds: s.metrics.rebuilds.WithLabelValues(name),
	}
}

// Hit counts a value that was found, stale or not.
func (c *Cache) Hit() { c.hits.Inc() }

// Miss counts a value that was not found.
func (c *Cache) Miss() { c.misses.Inc() }

// Rebuild counts a value that was computed anew, whoever asked for it.
func (c *Cache) Rebuild() { c.rebuilds.Inc() }
