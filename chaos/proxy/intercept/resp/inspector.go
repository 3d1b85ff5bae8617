package resp

import (
	"strconv"
	"strings"

	"shakedown/chaos"
	"shakedown/chaos/proxy/intercept"
)

type globOf = intercept.Glob

// An Inspector keeps the rules of one link to Redis.
type Inspector struct {
	*intercept.Table[match]
}

var _ intercept.Inspector = (*Inspector)(nil)

// New makes the inspector of a link.
func New(link string) *Inspector {
	return &Inspector{intercept.NewTable(link, chaos.Redis, compile)}
}

// Open follows the nth connection of the link.
func (in *Inspector) Open(conn uint64) intercept.Filter { return newFilter(in.Seat(conn)) }

// A match is what a rule looks for.
type match struct {
	*chaos.RedisRule
	command func(name string) bool
	key     intercept.Glob
}

type rule = intercept.Active[match]

func compile(r chaos.Rule) (match, error) {
	command, err := compileCommands(r.Redis.Command)
	return match{RedisRule: r.Redis, command: command, key: intercept.Glob(r.Redis.Key)}, err
}

// matches says whether a command is of the rule; its key is nil when it has none, or none that came early enough.
func (m match) matches(name string, key []byte) bool {
	return m.command(name) && (m.key == "" || key != nil && m.key.Match(key))
}

// reply is the error as it is written on the wire, without its end.
func (m match) reply(key []byte) string {
	return strings.ReplaceAll(m.Error, "{slot}", strconv.Itoa(slot(key)))
}
