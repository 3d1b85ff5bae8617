// Package intercept owns what stands between the proxy, which moves bytes and knows no protocol, and the protocols, which
// know messages and move nothing. A protocol implements Inspector; the proxy asks it for a Filter for every connection of
// a link that speaks the protocol, and feeds the filter all that arrives.
package intercept

import (
	"time"

	"shakedown/chaos"
)

// Way is a direction of a connection.
type Way int

// The ways of a connection.
const (
	Up   Way = iota // from the client to the server
	Down            // from the server to the client
)

// An Inspector knows one protocol on one link. It keeps the link's rules, which may change at any time, and counts what
// they did; it is safe for concurrent use. After SetRule and ClearRule the proxy wakes every filter of the link, and
// asks Acknowledged until all of them have seen the change.
type Inspector interface {
	// Open is called for the nth connection of the link, before its first byte.
	Open(conn uint64) Filter
	// SetRule puts a rule in force, or replaces the one of that id.
	SetRule(id string, r chaos.Rule) error
	// ClearRule removes a rule, if it is there.
	ClearRule(id string)
	// Acknowledged says whether every open filter knows the present rules.
	Acknowledged() bool
	// Counters are those of a rule; ok is false when there is none of that id.
	Counters(id string) (c chaos.RuleCounters, ok bool)
	// Rules are the rules in force, by id.
	Rules() map[string]chaos.Rule
}

// A Filter follows one connection from its first byte. One goroutine at a time calls it, and it never blocks. What it does
// not pass on it keeps, within bounds of its own; bytes it does not understand it passes on, from then on without looking.
type Filter interface {
	// Feed is given what arrived, in order, at a time of the proxy's monotonic clock. The bytes are the proxy's again when
	// it returns.
	Feed(now time.Duration, way Way, data []byte, out Out)
	// End says that the way's sender will send no more. What the filter still has is to be passed on or dropped now or at
	// a time asked for by WakeAt; the end follows it.
	End(now time.Duration, way Way, out Out)
	// Wake is called at the time that was asked for, or when the link's rules have changed.
	Wake(now time.Duration, out Out)
	// Close is the last call: the connection is gone, however it ended.
	Close()
}

// Out is what a filter may do. Effects of the link, such as a delay, act on what is passed as on any other bytes.
type Out interface {
	// Pass sends bytes on the way: those that arrived, or others in their place, or an answer to the sender on the way
	// back. The bytes are copied. They leave after what was passed on that way before, and not before a time; 0 is at once.
	Pass(way Way, data []byte, notBefore time.Duration)
	// Cut ends the connection with a RST to both ends once what was passed before has left.
	Cut()
	// Finish ends the connection likewise with a FIN to both ends. After Cut or Finish the filter is fed no more.
	Finish()
	// WakeAt asks for a call of Wake at a time; the last such request counts.
	WakeAt(at time.Duration)
}
