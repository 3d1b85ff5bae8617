package chaos

import (
	"shakedown/internal/units"
)

// Direction says which bytes of a connection an effect touches.
type Direction string

// The directions of a link. The empty Direction means Both.
const (
	Both       Direction = ""
	Upstream   Direction = "upstream"   // from the client to the server
	Downstream Direction = "downstream" // from the server to the client
)

// An Effect is what the proxy does to the connections and bytes of a link. Effects with different ids add up: delays add,
// the smallest rate wins, one hold holds, one refusal refuses. The zero Effect does nothing. Effects act on new and on
// live connections, whatever order they come and go in, and never lose, double or reorder a byte of a stream unless
// their field says so.
type Effect struct {
	Direction Direction `json:"direction,omitempty"`
	// Share of the connections that the effect acts on, decided by Seed and the connection's number; 0 means all.
	Share float64 `json:"share,omitempty"`

	// Delay is added to every byte, per direction, and Jitter spreads it by Law. A delay counts from a byte's arrival, so
	// it never caps the bandwidth, and bytes wait for those before them, so it never reorders a stream.
	Delay  units.Duration `json:"delay,omitempty"`
	Jitter units.Duration `json:"jitter,omitempty"`
	// Law says how delays are spread: see Law.
	Law Law `json:"law,omitempty"`
	// Shape is the tail index of the Pareto law; 0 means 3.
	Shape float64 `json:"shape,omitempty"`
	// Trace has the delays of the trace law, which take turns from a place that the seed gives each stream.
	Trace []units.Duration `json:"trace,omitempty"`
	// Loss is the share of segments that a lossy path would drop. A stream loses nothing: TCP sends again, so that a lost
	// segment and what follows it come a retransmission time-out later, 200 ms and then twice as long (RFC 6298).
	Loss float64 `json:"loss,omitempty"`

	// BytesPerSecond limits the rate, by a virtual clock, of what Scope says, per direction; 0 is no limit.
	BytesPerSecond int64 `json:"bytes_per_second,omitempty"`
	Scope          Scope `json:"scope,omitempty"`
	// Group names the links that share a limit of ScopeGroup.
	Group string `json:"group,omitempty"`
	// SliceBytes cuts what is written into pieces of about so many bytes, ± SliceSpread, SliceDelay apart.
	SliceBytes  int64          `json:"slice_bytes,omitempty"`
	SliceSpread int64          `json:"slice_spread,omitempty"`
	SliceDelay  units.Duration `json:"slice_delay,omitempty"`

	// Hold keeps every byte and every end of a stream, and delivers what it held when it is cleared.
	Hold bool `json:"hold,omitempty"`
	// Reset ends every live and new connection with a TCP RST; with After, so long after the connection was made or the
	// effect came into force, whichever is later.
	Reset bool `json:"reset,omitempty"`
	// Close ends connections likewise, with a FIN.
	Close bool           `json:"close,omitempty"`
	After units.Duration `json:"after,omitempty"`
	// Refuse makes the kernel refuse new connections (RST to a SYN), as when nobody listens. Live ones go on.
	Refuse bool `json:"refuse,omitempty"`
	// ConnectDelay is how long a new connection waits before the server hears of it.
	ConnectDelay units.Duration `json:"connect_delay,omitempty"`
	// HalfOpen forgets connections as a crashed host or a firewall does: the server's side is gone, and the client, whose
	// bytes go nowhere, is told nothing.
	HalfOpen bool `json:"half_open,omitempty"`
	// SlowClose keeps the end of a stream back for so long.
	SlowClose units.Duration `json:"slow_close,omitempty"`
	// LimitBytes closes a connection once so many bytes have passed, since it was made, in one of the directions.
	LimitBytes int64 `json:"limit_bytes,omitempty"`

	// Corrupt, Drop, Duplicate and Reorder are shares of the datagrams of a UDP link. Corrupt may act on a stream too: it
	// is the share of chunks in which one bit is flipped.
	Corrupt   float64 `json:"corrupt,omitempty"`
	Drop      float64 `json:"drop,omitempty"`
	Duplicate float64 `json:"duplicate,omitempty"`
	Reorder   float64 `json:"reorder,omitempty"`

	// Seed makes every random decision replay: it is a pure function of the seed, the link, the connection's number, the
	// direction and the chunk's number.
	Seed uint64 `json:"seed,omitempty"`
}

// Law is how the delays of an effect are spread.
type Law string

// The laws of a delay. The empty Law is uniform.
const (
	Uniform Law = ""       // over Delay ± Jitter
	Normal  Law = "normal" // with mean Delay and standard deviation Jitter, and never below 0
	Pareto  Law = "pareto" // Delay at least, and beyond it Pareto with mean Jitter and tail index Shape (Lomax)
	Traced  Law = "trace"  // those of Trace, one chunk after the other
)

// Scope is what a limit of the rate limits.
type Scope string

// The scopes of a limit. The empty Scope is each connection for itself.
const (
	ScopeConnection Scope = ""
	ScopeLink       Scope = "link"  // all connections of a link together
	ScopeGroup      Scope = "group" // all connections of all links together that have an effect of the same Group
)
