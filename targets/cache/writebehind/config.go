package writebehind

import (
	"fmt"
	"slices"
	"strings"

	"shakedown/internal/units"
	"shakedown/targets/internal/crash"
)

// The queues that a write may wait in.
const (
	queueNone   = "none"     // no queue: the database is written before the answer
	queueMemory = "memory"   // of the service's process
	queuePop    = "list-pop" // a list in Redis; a batch is removed before it is written (LPOP)
	queueList   = "list"     // a list in Redis; a batch is removed after it is written (LRANGE, LTRIM)
	queueStream = "stream"   // a stream in Redis with a consumer group; a batch is acknowledged after it is written (XACK)
	queueDirty  = "dirty"    // no events: entries of the cache, and a set of those that the database does not have yet
)

// How a batch is written.
const (
	flushAdditive   = "additive"   // rows are inserted, counters added to
	flushIdempotent = "idempotent" // the same, of events that the database has not seen
	flushAbsolute   = "absolute"   // rows and counters are set to what the cache holds
)

// What becomes of a batch that could not be written.
const (
	retryNever = "never" // it is dropped
	retryBlock = "block" // it is tried until it succeeds, before any other
	retryLater = "later" // it is set aside, and tried again when others have had their turn
)

// Where counters are read from.
const (
	readDatabase = "database"
	readCache    = "cache"
)

// Config is how one variant writes.
type Config struct {
	// Queue is none, memory, list-pop, list, stream or dirty.
	Queue string `json:"queue"`
	// Flush is additive, idempotent or absolute.
	Flush string `json:"flush"`
	// Every is the time between two flushes, each of which empties the queue.
	Every units.Duration `json:"every"`
	// Batch is the most events that one transaction writes.
	Batch int `json:"batch"`
	// Retry is never, block or later.
	Retry string `json:"retry"`
	// Pause is the time between two tries of a batch.
	Pause units.Duration `json:"pause"`
	// Tries is how often an event that the database refuses is tried by itself before it becomes a dead letter; 0: without end.
	Tries int `json:"tries"`
	// Versions: a status is overwritten by a newer one only.
	Versions bool `json:"versions"`
	// Read is where counters are read from: database or cache.
	Read string `json:"read"`
	// Bytes is how much the cache holds of an order besides its amount; only the queue dirty holds orders.
	Bytes int `json:"bytes"`
	// CleanTTL is how long an order stays in the cache once the database has it; 0: as long as there is room.
	CleanTTL units.Duration `json:"clean_ttl"`
	// Poison: the amount of every nth order is one that the database refuses; 0: of none. The service does not check it, as nobody
	// checks what only a constraint knows.
	Poison int64 `json:"poison"`
	// Pool is how many connections to the database there are.
	Pool int `json:"pool"`
}

var (
	queues  = []string{queueNone, queueMemory, queuePop, queueList, queueStream, queueDirty}
	flushes = []string{flushAdditive, flushIdempotent, flushAbsolute}
	retries = []string{retryNever, retryBlock, retryLater}
	reads   = []string{readDatabase, readCache}
)

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	for _, f := range []struct {
		name, value string
		known       []string
	}{{"queue", c.Queue, queues}, {"flush", c.Flush, flushes}, {"retry", c.Retry, retries}, {"read", c.Read, reads}} {
		if !slices.Contains(f.known, f.value) {
			return fmt.Errorf("%s: %q is none of %s", f.name, f.value, strings.Join(f.known, ", "))
		}
	}
	switch {
	case c.Every < units.Millisecond || c.Pause < units.Millisecond:
		return fmt.Errorf("every, pause: need at least 1ms, got %v and %v", c.Every, c.Pause)
	case c.Batch < 1:
		return fmt.Errorf("batch: must be ≥ 1, got %d", c.Batch)
	case c.Tries < 0 || c.Poison < 0 || c.Pool < 1:
		return fmt.Errorf("tries, poison, pool: must be ≥ 0, ≥ 0 and ≥ 1, got %d, %d and %d", c.Tries, c.Poison, c.Pool)
	case c.Bytes < 0 || c.Bytes > 1<<20 || c.CleanTTL < 0:
		return fmt.Errorf("bytes, clean_ttl: must be 0 to %d and ≥ 0, got %d and %v", 1<<20, c.Bytes, c.CleanTTL)
	case (c.Flush == flushAbsolute) != (c.Queue == queueDirty):
		return fmt.Errorf("flush: the queue %s and a flush that is %s do not go together; entries of a cache are absolute, events are not", c.Queue, c.Flush)
	case c.Flush == flushIdempotent && c.Queue == queueNone:
		return fmt.Errorf("flush: without a queue nothing is flushed, and nothing has an id to be known by")
	case c.Retry == retryLater && c.Queue != queueStream && c.Queue != queueMemory:
		return fmt.Errorf("retry: a batch can be set aside in memory and in a stream, not in the queue %s", c.Queue)
	case c.Read == readCache && c.Queue != queueNone && c.Queue != queueStream && c.Queue != queueDirty:
		return fmt.Errorf("read: the queue %s leaves no counters in the cache", c.Queue)
	case c.Tries > 0 && c.Retry != retryLater:
		return fmt.Errorf("tries: dead letters need batches that are set aside, retry: %s", retryLater)
	}
	return nil
}

// amount is that of an order.
func (c Config) amount(key int64) int64 {
	if c.Poison > 0 && key%c.Poison == c.Poison-1 {
		return -crash.ValueOf(key)
	}
	return crash.ValueOf(key)
}

// inRedis says whether writes wait in Redis.
func (c Config) inRedis() bool { return c.Queue != queueNone && c.Queue != queueMemory }
