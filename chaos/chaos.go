// Package chaos owns the vocabulary of faults: what a fault is, what it may act on,
// and the proof that it landed and was healed. One file holds one fault; the registry
// in registry.go is the only list of them. The package never starts a process or opens
// a socket itself: it acts through a Surface, which the orchestrator provides.
package chaos

import (
	"context"
	"fmt"
	"time"

	"shakedown/internal/units"
)

// A Fault is one way for a backend's surroundings to go wrong. It is data: it can be
// printed, edited and replayed.
type Fault interface {
	// Kind is the name the fault is registered and written under, such as "latency".
	Kind() string
	// String says the fault in a few words, for a timeline: "latency 20ms on service→redis".
	String() string
	// Validate says what is wrong with the fault's own fields.
	Validate() error
	// Available says why the fault cannot act on this surface; it never acts. A fault that
	// cannot act is an error, never a silent no-op.
	Available(Surface) error
	// Inject takes effect, proves the effect by observation and returns the undo.
	// When it returns an error, it has undone what it did.
	Inject(context.Context, Surface) (Injection, error)
}

// A FileReader is a Fault that reads files when it is injected. Inline replaces their names by what is in them, so that
// the fault can be sent to where they are not.
type FileReader interface {
	Files() []string
	Inline() error
}

// An Injection is a fault in force.
type Injection interface {
	// Landed says what was observed when the fault took effect.
	Landed() Evidence
	// Heal removes the effect, proves it gone, and says what the fault did to real traffic
	// while it was in force. It is idempotent, and it is always called, also when the run is aborted.
	Heal(context.Context) (Evidence, error)
}

// Evidence is one observation that a fault did what it says, or did not.
type Evidence struct {
	// What was looked at, such as "probe round trip on service-0→redis".
	What string `json:"what"`
	// Want and Got state the observation in Unit; both are zero where a number says nothing.
	Want float64 `json:"want"`
	Got  float64 `json:"got"`
	Unit string  `json:"unit,omitempty"`
	// Spread sets what was achieved beside what was asked, where the quantity has a distribution.
	Spread *Spread `json:"spread,omitempty"`
	// Seen is false when the effect could not be observed; that makes a trial void.
	Seen bool `json:"seen"`
}

func (e Evidence) String() string {
	seen := "seen"
	if !e.Seen {
		seen = "NOT seen"
	}
	if e.Unit == "" {
		return fmt.Sprintf("%s: %s", e.What, seen)
	}
	spread := ""
	if s := e.Spread; s != nil {
		spread = fmt.Sprintf(", p50 %.4g (%.4g), p99 %.4g (%.4g)", s.Achieved.P50, s.Asked.P50, s.Achieved.P99, s.Asked.P99)
	}
	return fmt.Sprintf("%s: %.4g %s (asked for %.4g)%s: %s", e.What, e.Got, e.Unit, e.Want, spread, seen)
}

// A Surface is what faults may act on in one trial. The orchestrator implements it.
type Surface interface {
	// Links are the dependency edges with the given name. "service→redis" is the edge of every
	// instance of the role "service"; "service-1→redis" is that of one. "->" may stand for "→".
	Links(name string) []Link
	// Processes are those with the given name: "redis", "service-1", or every instance of "service".
	Processes(name string) []Process
}

// A Link is one dependency edge, from one service instance to one engine or backend,
// and runs through the proxy.
type Link interface {
	// Name is the full name of the edge, "service-0→redis".
	Name() string
	// Shape puts an effect in force under the given id, on new and on live connections.
	Shape(ctx context.Context, id string, e Effect) error
	// Clear removes the effect with the given id; clearing an absent id is no error.
	Clear(ctx context.Context, id string) error
	// Probe sends a short message through the link's present plan to an echo inside the
	// proxy and back. It gives up after the given time; that is not an error, but Probe.Lost.
	Probe(ctx context.Context, giveUp time.Duration) (Probe, error)
	// Counters are cumulative since the link was made.
	Counters(ctx context.Context) (Counters, error)
}

// A Lister is a Link that can say which effects are in force on it. It lets a fault be healed beside another one that
// would hide its end from every probe.
type Lister interface {
	InForce(ctx context.Context) (ids []string, err error)
}

// Probe is the outcome of one probe: a connection through the link, made by the proxy itself in the client's and in the
// server's place, on which messages are echoed. On a UDP link it is a flow of numbered datagrams.
type Probe struct {
	// First is the time from connecting to the answer to the first message, RoundTrip that of a second message. Both are 0
	// when they were not answered.
	First     units.Duration `json:"first"`
	RoundTrip units.Duration `json:"round_trip"`
	// Took is the time from connecting to the last byte of the payload.
	Took units.Duration `json:"took"`
	// BytesPerSecond is the rate at which the probe's payload crossed the link, one way.
	BytesPerSecond float64 `json:"bytes_per_second"`
	// End is the time from the end of the client's stream, after the payload, to the end of the server's answer.
	End units.Duration `json:"end"`

	// Refused: the kernel refused the connection.
	Refused bool `json:"refused,omitempty"`
	// Lost: no answer came back in the time given (the link holds).
	Lost bool `json:"lost"`
	// Reset: the connection was reset. Closed: its stream ended before the client ended it.
	Reset  bool `json:"reset"`
	Closed bool `json:"closed,omitempty"`
	// Lived is how long a connection lived that was reset or closed, and Bytes what had come back on it until then.
	Lived units.Duration `json:"lived,omitempty"`
	Bytes int64          `json:"bytes,omitempty"`
	// Corrupt is the number of bytes that came back wrong; of a UDP link, of datagrams.
	Corrupt int64 `json:"corrupt,omitempty"`
	// Sent, Got, Doubled and Reordered count the datagrams of a probe of a UDP link: those sent, those of them that came
	// back, those that came back more than once, and those that came back after a later one.
	Sent      int64 `json:"sent,omitempty"`
	Got       int64 `json:"got,omitempty"`
	Doubled   int64 `json:"doubled,omitempty"`
	Reordered int64 `json:"reordered,omitempty"`
}

// Counters say what the proxy has done on one link, cumulatively. Probes do not count.
type Counters struct {
	Connections   int64 `json:"connections"` // accepted; of a UDP link: flows
	Open          int64 `json:"open"`
	DialFailures  int64 `json:"dial_failures"`  // the server could not be reached
	ReceivedUp    int64 `json:"received_up"`    // bytes that came from the client
	ReceivedDown  int64 `json:"received_down"`  // bytes that came from the server
	BytesUp       int64 `json:"bytes_up"`       // delivered to the server
	BytesDown     int64 `json:"bytes_down"`     // delivered to the client
	Delayed       int64 `json:"delayed"`        // chunks that were delayed by an effect
	DelayedMicros int64 `json:"delayed_micros"` // the sum of the delays they achieved, in µs
	// Delays are the delays that delayed chunks achieved, from their arrival until they were sent on.
	Delays Histogram `json:"delays,omitempty"`
	// Asked are the delays that the same chunks were to have: those that the law drew for them.
	Asked     Histogram `json:"asked,omitempty"`
	Lost      int64     `json:"lost"`      // segments that came late as if a lossy path had dropped them
	Held      int64     `json:"held"`      // chunks that met a hold
	Throttled int64     `json:"throttled"` // chunks that waited for bandwidth
	Sliced    int64     `json:"sliced"`    // pieces that a slicer wrote
	// Connections that were ended by a Reset effect, by a Close effect and by LimitBytes, and that were forgotten by HalfOpen.
	Resets     int64 `json:"resets"`
	Closes     int64 `json:"closes"`
	Limited    int64 `json:"limited"`
	HalfOpened int64 `json:"half_opened"`
	// ConnectDelays are connections whose server heard of them later, SlowCloses ends of streams that were kept back.
	ConnectDelays int64 `json:"connect_delays"`
	SlowCloses    int64 `json:"slow_closes"`
	Corrupted     int64 `json:"corrupted"` // chunks or datagrams in which a bit was flipped
	// Of a UDP link: datagrams that arrived at the proxy, and what became of them.
	Datagrams  int64 `json:"datagrams"`
	Dropped    int64 `json:"dropped"`
	Duplicated int64 `json:"duplicated"`
	Reordered  int64 `json:"reordered"`
}

// A Process is an engine or a service instance that the run started.
type Process interface {
	Name() string
	// Kill ends it with SIGKILL and returns once it is gone.
	Kill(context.Context) error
	// Start starts it again, with the same configuration and addresses, and returns once it is healthy.
	Start(context.Context) error
	// Pause and Resume are SIGSTOP and SIGCONT, to the process and all it started.
	Pause(context.Context) error
	Resume(context.Context) error
	// State is what the kernel says of it now.
	State(context.Context) (State, error)
}

// State is the state of a process as the kernel sees it.
type State string

// The states that faults distinguish.
const (
	Running State = "running"
	Stopped State = "stopped"
	Gone    State = "gone"
)
