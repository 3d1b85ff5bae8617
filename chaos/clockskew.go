package chaos

import (
	"context"
	"errors"
	"fmt"
	"time"

	"shakedown/internal/units"
)

// ClockSkew makes the clock of a server wrong: it jumps by an offset, and from then on runs fast or slow. Only what asks libc for
// the time of day is fooled (libfaketime): servers such as PostgreSQL and Redis, and no program in Go. Monotonic clocks stay
// right, so that time-outs that use them hold; a rate stretches sleeps, as libfaketime does. Healing makes the clock jump back.
type ClockSkew struct {
	Process string `json:"process"`
	// Offset is how far the clock is ahead; negative is behind.
	Offset units.Duration `json:"offset,omitempty"`
	// Rate is how many seconds the clock shows for a real one; left out, one.
	Rate float64 `json:"rate,omitempty"`
}

var (
	_ Arranger = (*ClockSkew)(nil)
	_ Needer   = (*ClockSkew)(nil)
)

// Kind is "clock_skew".
func (*ClockSkew) Kind() string { return "clock_skew" }

func (f *ClockSkew) String() string {
	how := ""
	switch {
	case f.Offset > 0:
		how = fmt.Sprintf(" %v ahead", f.Offset)
	case f.Offset < 0:
		how = fmt.Sprintf(" %v behind", -f.Offset)
	}
	if f.Rate != 0 {
		how += fmt.Sprintf(" at %g times its speed", f.Rate)
	}
	return "clock of " + f.Process + how
}

// Needs is a library.
func (*ClockSkew) Needs() []Need { return []Need{NeedFaketime} }

// Arrange wants a server that was started with the library.
func (f *ClockSkew) Arrange() (string, Arrangement) { return f.Process, Arrangement{Clock: true} }

// Validate wants the name of a process, and an offset or a rate that can be told from a right clock.
func (f *ClockSkew) Validate() error {
	const tenYears = 10 * 365 * 24 * time.Hour
	switch off := f.Offset.D().Abs(); {
	case f.Offset == 0 && (f.Rate == 0 || f.Rate == 1):
		return errors.New("the clock would be right; write an offset, such as -5s, or a rate, such as 1.01")
	case f.Offset != 0 && off < 10*time.Millisecond || off > tenYears:
		return fmt.Errorf("offset is %v; it is between 10ms and ten years, ahead or behind", f.Offset)
	case f.Rate != 0 && !(f.Rate >= 0.1 && f.Rate <= 10):
		return fmt.Errorf("rate is %g; it is between 0.1 and 10", f.Rate)
	}
	return checkProcessName(f.Process)
}

const cannotSkew = "have its clock changed"

// Available wants a process of that name with a clock that can be changed.
func (f *ClockSkew) Available(s Surface) error {
	procs, err := ableOf[Skewable](s, f.Process, cannotSkew)
	for _, p := range procs {
		err = errors.Join(err, p.CanSkew())
	}
	return err
}

// Inject proves itself by the time that the server says.
func (f *ClockSkew) Inject(ctx context.Context, s Surface) (Injection, error) {
	return effectFault[Skewable]{fault: f, process: f.Process, lacks: cannotSkew, begin: f.begin}.inject(ctx, s)
}

// skewTime is how long a server may take to notice: it looks once a second, when it asks for the time.
const skewTime = 10 * time.Second

func (f *ClockSkew) begin(ctx context.Context, p Skewable) (processEffect, error) {
	if err := p.CanSkew(); err != nil {
		return nil, err
	}
	switch off, err := askOffset(ctx, p); {
	case err != nil:
		return nil, err
	case !off.allows(0):
		return nil, fmt.Errorf("its clock is ahead by %v already; heal that first", off)
	}
	c := &clockSkew{process: p, skew: Skew{Offset: f.Offset.D(), Rate: f.Rate, Since: time.Now()}}
	if err := p.Skew(ctx, c.skew); err != nil {
		return c, err
	}
	seen, err := seenWithin(ctx, skewTime, func() (bool, error) {
		off, err := askOffset(ctx, p)
		c.got, c.want = off, c.skew.Ahead(time.Now())
		return c.seen(), err
	})
	c.proof = c.evidence(seen)
	return c, err
}

// clockSkew is a wrong clock of one server.
type clockSkew struct {
	process Skewable
	skew    Skew
	proof   Evidence
	got     offset
	want    time.Duration
}

func (c *clockSkew) landed() Evidence { return c.proof }

// seen says whether the server's clock is as wrong as asked for, and not right.
func (c *clockSkew) seen() bool {
	slack := max(c.want.Abs()/20, time.Millisecond)
	return !c.got.allows(0) && c.got.least <= c.want+slack && c.got.most >= c.want-slack
}

func (c *clockSkew) evidence(seen bool) Evidence {
	return Evidence{
		What: "how far the clock of " + c.process.Name() + " is ahead, by its own words", Unit: "ms",
		Want: inMillis(c.want), Got: inMillis(c.got.middle()), Seen: seen,
	}
}

func (c *clockSkew) end(ctx context.Context) (Evidence, error) {
	if err := running(ctx, c.process); err != nil { // another fault may have ended it, and a clock is asked for its time
		return Evidence{}, err
	}
	if off, err := askOffset(ctx, c.process); err == nil {
		c.got, c.want = off, c.skew.Ahead(time.Now())
	}
	did := c.evidence(c.seen())
	if err := c.process.Skew(ctx, Skew{}); err != nil {
		return Evidence{}, err
	}
	right, err := seenWithin(ctx, skewTime, func() (bool, error) {
		off, err := askOffset(ctx, c.process)
		c.got = off
		return off.allows(0), err
	})
	if err == nil && !right {
		err = fmt.Errorf("its clock is still ahead by %v", c.got)
	}
	return did, err
}

// offset is how far a clock is ahead of ours: between the two, because asking takes time.
type offset struct{ least, most time.Duration }

// allows says whether the clock may be ahead by d, but for what a clock in whole microseconds leaves out.
func (o offset) allows(d time.Duration) bool {
	return o.least-time.Millisecond <= d && d <= o.most+time.Millisecond
}

func (o offset) middle() time.Duration { return o.least + (o.most-o.least)/2 }

func (o offset) String() string {
	return fmt.Sprintf("%v to %v", o.least.Round(time.Microsecond), o.most.Round(time.Microsecond))
}

// askOffset compares the server's clock with ours, as NTP does (RFC 5905): the server read its own after we asked and before
// we heard.
func askOffset(ctx context.Context, p Skewable) (offset, error) {
	asked := time.Now()
	says, err := p.Time(ctx)
	heard := time.Now()
	if err != nil {
		return offset{}, err
	}
	return offset{says.Sub(heard.Round(0)), says.Sub(asked.Round(0))}, nil
}
