// Package units owns the small quantities that appear in specifications and
// must read the same in YAML, JSON, flags and Go. It knows nothing of what they
// measure; every package that is data may import it.
package units

import (
	"fmt"
	"time"
)

// Duration is a time.Duration that is written "250ms" in JSON and YAML, so that a
// stored specification can be read and edited by a person.
type Duration time.Duration

// Convenient multiples, so that a specification reads 250 * units.Millisecond.
const (
	Microsecond = Duration(time.Microsecond)
	Millisecond = Duration(time.Millisecond)
	Second      = Duration(time.Second)
)

// D is the standard library's view of the duration.
func (d Duration) D() time.Duration { return time.Duration(d) }

// Seconds is the duration in seconds.
func (d Duration) Seconds() float64 { return time.Duration(d).Seconds() }

func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText writes the form that time.ParseDuration reads.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads "1.5s", "20ms" and the like.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a duration; write a number with a unit, such as 250ms, 5s or 2m", text)
	}
	*d = Duration(v)
	return nil
}
