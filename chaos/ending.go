package chaos

import (
	"context"
	"fmt"
	"time"

	"shakedown/internal/units"
)

// An ending is what distinguishes one fault that ends connections, at once or after a while, from another.
type ending struct {
	fault  Fault
	link   string
	effect Effect
	how    string               // "reset", "close"
	did    func(Probe) bool     // whether a probe ended so
	count  func(Counters) int64 // connections that did
}

// injectEnding injects a fault that a probe shows whose connection ends, and no sooner than asked.
func injectEnding(ctx context.Context, s Surface, e ending) (Injection, error) {
	after := e.effect.After
	return injectLinks(ctx, s, linkFault{
		fault: e.fault, link: e.link, effect: e.effect, tries: rarely(e.effect.Share),
		giveUp: func(_ Probe, patience time.Duration) time.Duration { return patience + after.D() },
		landed: func(link string, without, under Probe) Evidence {
			return ended(e.how+" of a probe on "+link, after, under, answered(without) && e.did(under))
		},
		met: func(c Counters) Evidence {
			return counted("connections of real traffic that met a "+e.how, e.link, "connections", e.count(c))
		},
	})
}

// after says when connections end, where that is not at once.
func after(d units.Duration) string {
	if d == 0 {
		return ""
	}
	return " after " + d.String()
}

func checkAfter(d units.Duration) error {
	if d < 0 {
		return fmt.Errorf("after is %s; it must not be negative", d)
	}
	return nil
}

// ended is the evidence of a probe's connection that ended, and no sooner than asked.
func ended(what string, after units.Duration, p Probe, did bool) Evidence {
	if after == 0 {
		return Evidence{What: what, Seen: did}
	}
	return Evidence{
		What: what + " and how long it lived", Want: millis(float64(after)), Got: millis(float64(p.Lived)), Unit: "ms",
		Seen: did && float64(p.Lived) >= 0.9*float64(after),
	}
}
