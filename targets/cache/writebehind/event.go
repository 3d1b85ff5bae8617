package writebehind

import (
	"fmt"
	"strconv"
	"strings"
)

// kind is what an event writes.
type kind byte

const (
	order  kind = 'o' // a row of its own: key, amount
	count  kind = 'c' // adds value to a counter; in the queue dirty, what the counter has come to
	status kind = 's' // overwrites what a key has; its value is the version
)

// String is the word for it in metrics.
func (k kind) String() string {
	return map[kind]string{order: "order", count: "count", status: "status"}[k]
}

// An event is one write that waits in a queue.
type event struct {
	id    int64 // no two events of a trial share it; those of a stream are in order
	kind  kind
	key   int64
	value int64
}

// String is how an event stands in a list or stream; parseEvent reads it.
func (e event) String() string {
	return fmt.Sprintf("%d %c %d %d", e.id, rune(e.kind), e.key, e.value)
}

func parseEvent(text string) (event, error) {
	bad := fmt.Errorf("an event in Redis is damaged: %.60q", text)
	f := strings.Fields(text)
	if len(f) != 4 || len(f[1]) != 1 {
		return event{}, bad
	}
	e := event{kind: kind(f[1][0])}
	if e.kind != order && e.kind != count && e.kind != status {
		return event{}, bad
	}
	for at, into := range map[int]*int64{0: &e.id, 2: &e.key, 3: &e.value} {
		n, err := strconv.ParseInt(f[at], 10, 64)
		if err != nil {
			return event{}, bad
		}
		*into = n
	}
	return e, nil
}

// sequenceBits is how much of a number the sequence of a stream's ID takes; its milliseconds take the rest, until the year 2248.
const sequenceBits = 20

// numberOf packs the ID of a stream's entry, "1700000000000-3", into a number of the same order.
func numberOf(id string) (int64, error) {
	ms, seq, ok := strings.Cut(id, "-")
	m, err := strconv.ParseInt(ms, 10, 64)
	s, err2 := strconv.ParseInt(seq, 10, 64)
	if !ok || err != nil || err2 != nil || s >= 1<<sequenceBits || m >= 1<<(63-sequenceBits) {
		return 0, fmt.Errorf("the stream's ID %q does not fit a number", id)
	}
	return m<<sequenceBits | s, nil
}

// idOf is the ID of a stream's entry that numberOf has packed.
func idOf(n int64) string {
	return fmt.Sprintf("%d-%d", n>>sequenceBits, n&(1<<sequenceBits-1))
}
