package chaos

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
)

// RedisError lets commands fail on the way to Redis: the server never sees them, and the error takes its place among the
// replies. Within MULTI, EXEC then fails too, as with Redis itself.
type RedisError struct {
	Link string `json:"link"`
	// Error is the error's code: READONLY, LOADING, BUSY, OOM, CLUSTERDOWN, MOVED, ASK, ERR, or any other.
	Error string `json:"error"`
	// Message is what follows the code; left out, it is what Redis says, where the code is one of those above.
	Message string `json:"message,omitempty"`
	// Address is where MOVED and ASK send the client: "127.0.0.1:7001". The slot is that of the command's first key.
	Address string `json:"address,omitempty"`
	// Command is a list of names, patterns or categories: "GET,SET", "H*", "@write". Left out, it is the commands that Redis
	// answers with this code: @write for READONLY, @denyoom for OOM, @loading for LOADING, @busy for BUSY, @keyed for
	// MOVED, ASK and CLUSTERDOWN, and @data for others.
	Command string `json:"command,omitempty"`
	// Key is a pattern of the first key: "user:*".
	Key string `json:"key,omitempty"`
	Pick
}

var _ Speaker = (*RedisError)(nil)

// redisErrors are what Redis says, and which commands it says it to.
var redisErrors = map[string]struct{ message, commands string }{
	"READONLY":    {"You can't write against a read only replica.", "@write"},
	"LOADING":     {"Redis is loading the dataset in memory", "@loading"},
	"BUSY":        {"Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.", "@busy"},
	"OOM":         {"command not allowed when used memory > 'maxmemory'.", "@denyoom"},
	"CLUSTERDOWN": {"The cluster is down", "@keyed"},
	"MOVED":       {"{slot} ", "@keyed"},
	"ASK":         {"{slot} ", "@keyed"},
	"ERR":         {"injected by shakedown", "@data"},
}

// Kind is "redis_error".
func (*RedisError) Kind() string { return "redis_error" }

func (f *RedisError) String() string {
	return fmt.Sprintf("redis error %s%s%s on %s", f.Error, f.which(), about(f.Command, f.Key), arrow(f.Link))
}

// Speaks wants Redis.
func (f *RedisError) Speaks() (link string, p Protocol) { return f.Link, Redis }

func (f *RedisError) redirects() bool { return f.Error == "MOVED" || f.Error == "ASK" }

func (f *RedisError) rule() Rule {
	known := redisErrors[f.Error]
	message := cmp.Or(f.Message, known.message+f.Address)
	return Rule{Pick: f.Pick, Redis: &RedisRule{
		Command: cmp.Or(f.Command, known.commands, "@data"), Key: f.Key, Error: strings.TrimSpace(f.Error + " " + message),
	}}
}

// Validate wants a code, with a message unless the code is a known one.
func (f *RedisError) Validate() error {
	if err := checkLinkName(f.Link); err != nil {
		return err
	}
	_, known := redisErrors[f.Error]
	switch {
	case f.Error == "" || strings.ToUpper(f.Error) != f.Error || strings.ContainsAny(f.Error, " \t"):
		return fmt.Errorf("error is %q; it is a code, one word of capital letters, as READONLY is", f.Error)
	case !known && f.Message == "":
		return fmt.Errorf("message is missing; only of READONLY, LOADING, BUSY, OOM, CLUSTERDOWN and ERR it is known what Redis says, not of %s", f.Error)
	case f.redirects() && f.Address == "":
		return fmt.Errorf("address is missing; %s says where to go, as 127.0.0.1:7001", f.Error)
	case !f.redirects() && f.Address != "":
		return errors.New("address is only for MOVED and ASK")
	case f.redirects() && f.Message != "":
		return errors.New("message and address exclude each other")
	}
	return f.rule().Validate()
}

// Available wants links of that name that speak Redis' protocol.
func (f *RedisError) Available(s Surface) error { return availableSpoken(s, f) }

// Inject proves itself by every live connection following the rule.
func (f *RedisError) Inject(ctx context.Context, s Surface) (Injection, error) {
	return injectRules(ctx, s, ruleFault{fault: f, rule: f.rule(), acts: "commands answered with " + f.Error})
}
