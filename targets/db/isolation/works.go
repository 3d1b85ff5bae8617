package isolation

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"shakedown/internal/clock"
)

// A worker is one transaction under way, with what it has read and written so far.
type worker struct {
	*service
	tx  tx
	key int64 // of the request
	try int
	ops []access
}

// works are the transactions of each workload.
var works = map[string]func(context.Context, *worker) error{
	listAppend: lists, bank: transfer, writeSkew: onCall, longFork: fork, lostUpdate: count, lookBeside: look,
}

// read reads a cell.
func (w *worker) read(ctx context.Context, key int64) (v int64, err error) {
	statement := "select v from " + cellTable + " where id = ?"
	if w.config.Guard == lockGuard {
		statement += " for update"
	}
	if err = w.tx.one(ctx, &v, statement, key); err != nil {
		return 0, err
	}
	w.ops = append(w.ops, access{Key: key, Read: true, Value: v})
	return v, nil
}

// write writes a cell.
func (w *worker) write(ctx context.Context, key, v int64) error {
	w.ops = append(w.ops, access{Key: key, Value: v})
	return w.tx.exec(ctx, "update "+cellTable+" set v = ? where id = ?", v, key)
}

// thinkAndWrite writes a cell once the application has worked on what it read.
func (w *worker) thinkAndWrite(ctx context.Context, key, v int64) error {
	if err := clock.Sleep(ctx, w.config.Pause.D()); err != nil {
		return err
	}
	return w.write(ctx, key, v)
}

// perWindow is how many appends the lists of a window get before other lists take their place: long ones cost more to read.
const perWindow = 40

// appending are the statements that append text to a list.
var appending = map[string]string{
	onPostgres: "update " + listTable + " set v = v || ? where id = ?",
	onMariaDB:  "update " + listTable + " set v = concat(v, ?) where id = ?",
}

// lists runs two to four operations, each of which appends to one of a few lists or reads it.
func lists(ctx context.Context, w *worker) error {
	for range 2 + w.rng.IntN(3) {
		n := int64(w.config.Keys)
		key := (w.values.Load()/(perWindow*n)*n + w.rng.Int64N(n)) % maxKeys
		if w.rng.IntN(2) == 0 {
			if err := w.readList(ctx, key); err != nil {
				return err
			}
			continue
		}
		// Another instance's values are other numbers.
		v := w.values.Add(1)*int64(max(w.server.Env().Instances, 1)) + int64(w.server.Env().Instance)
		w.ops = append(w.ops, access{Key: key, Value: v})
		if err := w.tx.exec(ctx, appending[w.config.Engine], strconv.FormatInt(v, 10)+",", key); err != nil {
			return err
		}
		if err := clock.Sleep(ctx, w.config.Pause.D()); err != nil {
			return err
		}
	}
	return nil
}

func (w *worker) readList(ctx context.Context, key int64) error {
	var text string
	if err := w.tx.one(ctx, &text, "select v from "+listTable+" where id = ?", key); err != nil {
		return err
	}
	list, err := parseList(text)
	if err != nil {
		return err
	}
	w.ops = append(w.ops, access{Key: key, Read: true, List: list})
	return clock.Sleep(ctx, w.config.Pause.D())
}

// parseList reads what appends have written: "3,17,".
func parseList(text string) (list []int64, err error) {
	for part := range strings.SplitSeq(strings.TrimSuffix(text, ","), ",") {
		if part == "" {
			continue
		}
		v, err := strconv.ParseInt(part, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("a list holds %q: %w", part, err)
		}
		list = append(list, v)
	}
	return list, nil
}

// start is what each account holds at first.
const start = 1000

// transfer moves money between two accounts, as one does who reads, computes and writes. Every fourth looks at all accounts instead.
func transfer(ctx context.Context, w *worker) error {
	if w.rng.IntN(4) == 0 {
		for key := range int64(w.config.Keys) {
			if _, err := w.read(ctx, key); err != nil {
				return err
			}
		}
		return nil
	}
	from := w.rng.Int64N(int64(w.config.Keys))
	to := (from + 1 + w.rng.Int64N(int64(max(w.config.Keys-1, 1)))) % int64(w.config.Keys)
	a, err := w.read(ctx, from)
	if err != nil {
		return err
	}
	b, err := w.read(ctx, to)
	if err != nil {
		return err
	}
	amount := 1 + w.rng.Int64N(10)
	moves := []access{{Key: from, Value: a - amount}, {Key: to, Value: b + amount}}
	if to < from { // always in the same order: no deadlock
		moves[0], moves[1] = moves[1], moves[0]
	}
	for _, m := range moves {
		if err := w.thinkAndWrite(ctx, m.Key, m.Value); err != nil {
			return err
		}
	}
	return nil
}

// onCall takes one of two doctors off call if the other is on, and puts him on call if he is not.
func onCall(ctx context.Context, w *worker) error {
	pair := w.key % int64(w.config.Keys)
	me := 2*pair + w.rng.Int64N(2)
	on := map[int64]int64{}
	for _, doctor := range []int64{2 * pair, 2*pair + 1} {
		v, err := w.read(ctx, doctor)
		if err != nil {
			return err
		}
		on[doctor] = v
	}
	switch {
	case on[me] == 0:
		return w.thinkAndWrite(ctx, me, 1)
	case on[me^1] == 1:
		return w.thinkAndWrite(ctx, me, 0)
	}
	return nil // he must stay
}

// visits is how many requests a pair of long-fork has: the first two write, the others read.
const visits = 12

// fork writes one of two cells, once, or reads both, in one order or the other.
func fork(ctx context.Context, w *worker) error {
	n := int64(w.config.Keys)
	// Each pair has its requests at about the same time: n pairs at a time, in turns.
	turn, visit := w.key/(visits*n), w.key/n%visits
	pair := (turn*n + w.key%n) % (maxKeys / 2)
	if visit == visits/3 || visit == visits/3+1 {
		return w.write(ctx, 2*pair+visit-visits/3, 1)
	}
	first := w.rng.Int64N(2)
	for _, key := range []int64{2*pair + first, 2*pair + 1 - first} {
		if _, err := w.read(ctx, key); err != nil {
			return err
		}
		if err := clock.Sleep(ctx, w.config.Pause.D()); err != nil {
			return err
		}
	}
	return nil
}

// count counts a cell up by one.
func count(ctx context.Context, w *worker) error {
	key := w.key % int64(w.config.Keys)
	if w.config.Guard == atomicGuard {
		w.ops = append(w.ops, access{Key: key})
		return w.tx.exec(ctx, "update "+cellTable+" set v = v + 1 where id = ?", key)
	}
	v, err := w.read(ctx, key)
	if err != nil {
		return err
	}
	return w.thinkAndWrite(ctx, key, v+1)
}

// look counts up one cell of a pair, or the other after a look at the first: of two that overlap the second may come before the first, as far
// as they are concerned, and a reader of both can tell otherwise (A. Fekete, E. O'Neil, P. O'Neil, "A Read-Only Transaction Anomaly Under
// Snapshot Isolation", SIGMOD Record 33(3), 2004).
func look(ctx context.Context, w *worker) error {
	key := 2 * (w.key % int64(w.config.Keys))
	if w.rng.IntN(2) == 0 {
		if _, err := w.read(ctx, key); err != nil {
			return err
		}
		key++
	}
	v, err := w.read(ctx, key)
	if err != nil {
		return err
	}
	return w.thinkAndWrite(ctx, key, v+1)
}
