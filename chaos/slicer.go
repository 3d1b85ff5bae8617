package chaos

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"shakedown/internal/units"
)

// Slicer cuts what a link carries into small pieces with a pause after each, as a path of small packets does: a reader
// that takes one read for one message shows itself.
type Slicer struct {
	Link string `json:"link"`
	// Bytes is the mean size of a piece, and Spread how much larger or smaller one may be.
	Bytes  int64 `json:"bytes"`
	Spread int64 `json:"spread,omitempty"`
	// Delay is the pause between two pieces.
	Delay units.Duration `json:"delay"`
	// Direction is "upstream", "downstream", or both when left out.
	Direction Direction `json:"direction,omitempty"`
	// Share of the connections that are sliced; all when left out.
	Share float64 `json:"share,omitempty"`
	Seed  uint64  `json:"seed,omitempty"`
}

var _ Fault = (*Slicer)(nil)

// Kind is "slicer".
func (*Slicer) Kind() string { return "slicer" }

func (f *Slicer) String() string {
	size := fmt.Sprint(f.Bytes)
	if f.Spread > 0 {
		size += fmt.Sprintf("±%d", f.Spread)
	}
	return fmt.Sprintf("slices of %s bytes, %s apart, %s", size, f.Delay, on(f.Link, f.Direction, f.Share))
}

// Validate wants a pause between pieces: those that follow at once may arrive as one, and would prove nothing.
func (f *Slicer) Validate() error {
	if err := cmp.Or(checkLinkName(f.Link), f.Direction.validate(), checkShare(f.Share)); err != nil {
		return err
	}
	switch {
	case f.Bytes <= 0:
		return fmt.Errorf("bytes is %d; a piece must have at least 1", f.Bytes)
	case f.Spread < 0 || f.Spread >= f.Bytes:
		return fmt.Errorf("spread is %d; it must be at least 0 and below the %d bytes of a piece", f.Spread, f.Bytes)
	case f.Delay <= 0:
		return errors.New("delay is 0s; it must be above 0, because pieces without a pause arrive as one")
	}
	return nil
}

// Available wants a link of that name that carries a stream.
func (f *Slicer) Available(s Surface) error { return availableOn(s, f, f.Link, streams) }

// Inject proves itself by the rate of a probe's payload: pieces that are a pause apart have at most one.
func (f *Slicer) Inject(ctx context.Context, s Surface) (Injection, error) {
	most := float64(f.Bytes+f.Spread) / f.Delay.Seconds()
	return injectLinks(ctx, s, linkFault{
		fault: f, link: f.Link, timed: true,
		effect: Effect{
			Direction: f.Direction, SliceBytes: f.Bytes, SliceSpread: f.Spread, SliceDelay: f.Delay, Share: f.Share, Seed: f.Seed,
		},
		tries: rarely(f.Share),
		// A ping is a few pieces where these are small, and the payload a few dozen.
		giveUp: func(_ Probe, patience time.Duration) time.Duration { return patience + 1000*f.Delay.D() },
		landed: func(link string, without, under Probe) Evidence {
			return Evidence{
				What: "rate of the probe's payload, in pieces, on " + link,
				Want: float64(f.Bytes) / f.Delay.Seconds(), Got: under.BytesPerSecond, Unit: "B/s",
				Seen: answered(under) && limited(under, 1.5*most) && answered(without) && !limited(without, 1.5*most),
			}
		},
		met: func(c Counters) Evidence {
			return counted("pieces that real traffic was cut into", f.Link, "pieces", c.Sliced)
		},
	})
}
