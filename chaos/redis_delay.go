package chaos

import (
	"cmp"
	"context"
	"fmt"

	"shakedown/internal/units"
)

// RedisDelay keeps commands from Redis for a while, and what their connection sends after them.
type RedisDelay struct {
	Link string `json:"link"`
	// Command is a list of names, patterns or categories, as RedisError's; left out, all but those of the connection (@data).
	Command string `json:"command,omitempty"`
	// Key is a pattern of the first key.
	Key   string         `json:"key,omitempty"`
	Delay units.Duration `json:"delay"`
	Pick
}

var _ Speaker = (*RedisDelay)(nil)

// Kind is "redis_delay".
func (*RedisDelay) Kind() string { return "redis_delay" }

func (f *RedisDelay) String() string {
	return fmt.Sprintf("redis delay %s%s%s on %s", f.Delay, f.which(), about(f.Command, f.Key), arrow(f.Link))
}

// Speaks wants Redis.
func (f *RedisDelay) Speaks() (link string, p Protocol) { return f.Link, Redis }

func (f *RedisDelay) rule() Rule {
	return Rule{Pick: f.Pick, Redis: &RedisRule{Command: cmp.Or(f.Command, "@data"), Key: f.Key, Delay: f.Delay}}
}

// Validate wants a delay.
func (f *RedisDelay) Validate() error {
	return cmp.Or(checkLinkName(f.Link), checkDelay(f.Delay), f.rule().Validate())
}

// Available wants links of that name that speak Redis' protocol.
func (f *RedisDelay) Available(s Surface) error { return availableSpoken(s, f) }

// Inject proves itself by every live connection following the rule.
func (f *RedisDelay) Inject(ctx context.Context, s Surface) (Injection, error) {
	return injectRules(ctx, s, ruleFault{fault: f, rule: f.rule(), acts: "commands delayed by " + f.Delay.String()})
}
