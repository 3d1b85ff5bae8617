package listappend

import (
	"fmt"
	"strings"

	"shakedown/bench"
)

// An Op is one operation of a transaction: it appends Value to the list of Key, or reads the list.
type Op struct {
	Key   int64
	Reads bool
	Value int64   // appended; no two appends to a key have the same
	List  []int64 // read; of a transaction that is not known to have committed, nothing is made of it
}

// Append is an operation that appends a value to a key's list.
func Append(key, value int64) Op { return Op{Key: key, Value: value} }

// Read is an operation that read a key's list.
func Read(key int64, list ...int64) Op { return Op{Key: key, Reads: true, List: list} }

// A Txn is one transaction as its client saw it.
type Txn struct {
	Name    string // in explanations; empty: T and its number in the history
	Ops     []Op
	Outcome bench.Outcome
}

// committed: the client was told so.
func (t *Txn) committed() bool { return t.Outcome.Answered() }

// aborted: it is known to have had no effect.
func (t *Txn) aborted() bool { return !t.committed() && t.Outcome != bench.Unsure }

// A History has all transactions that touched some lists, which were empty before. Their order means nothing.
type History []Txn

func (h History) name(t int32) string {
	if n := h[t].Name; n != "" {
		return n
	}
	return fmt.Sprintf("T%d", t)
}

func (o Op) String() string {
	if o.Reads {
		return fmt.Sprintf("r(%d)=%s", o.Key, listText(o.List))
	}
	return fmt.Sprintf("a(%d,%d)", o.Key, o.Value)
}

func (t *Txn) String() string {
	parts := make([]string, len(t.Ops))
	for i, o := range t.Ops {
		parts[i] = o.String()
	}
	return fmt.Sprintf("%s, %s", strings.Join(parts, " "), t.Outcome)
}

// listText is a list as people read it: of a long one the end.
func listText(list []int64) string {
	const most = 8
	var b strings.Builder
	b.WriteByte('[')
	if len(list) > most {
		b.WriteString("… ")
		list = list[len(list)-most:]
	}
	for i, v := range list {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%d", v)
	}
	b.WriteByte(']')
	return b.String()
}
