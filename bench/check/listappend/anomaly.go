package listappend

import (
	"fmt"
	"slices"
	"strings"

	"shakedown/bench"
)

// An Anomaly is something that a history must not have at some isolation level.
type Anomaly string

// The anomalies, from those that no level allows to those that only serializability forbids. The names are Adya's, and Elle's
// where Adya has none.
const (
	// Garbage is a value that was read and never appended, or twice in one list.
	Garbage Anomaly = "garbage read"
	// Internal is a read that did not see what its own transaction had appended before, or saw what it appended later.
	Internal Anomaly = "internal"
	// Incompatible are two reads of a list of which neither begins with the other: no order of the appends explains both.
	Incompatible Anomaly = "incompatible order"
	// G0 is a cycle of overwrites (dirty write).
	G0 Anomaly = "G0"
	// G1a is a read of what an aborted transaction appended (dirty read).
	G1a Anomaly = "G1a"
	// G1b is a read that saw some of a transaction's appends to a key, and not the last (intermediate read).
	G1b Anomaly = "G1b"
	// G1c is a cycle of overwrites and of reads of what another has written (circular information flow).
	G1c Anomaly = "G1c"
	// GSingle is a cycle with one anti-dependency: read skew, lost update.
	GSingle Anomaly = "G-single"
	// GNonadjacent is a cycle with several anti-dependencies, no two of them in a row: a long fork. No snapshot explains it.
	GNonadjacent Anomaly = "G-nonadjacent"
	// G2Item is any other cycle with anti-dependencies: write skew.
	G2Item Anomaly = "G2-item"
)

// Anomalies are all of them, in the order above.
func Anomalies() []Anomaly {
	return []Anomaly{Garbage, Internal, Incompatible, G0, G1a, G1b, G1c, GSingle, GNonadjacent, G2Item}
}

// A Level is an isolation level, by what it forbids.
type Level string

// The levels, the weakest first.
const (
	ReadUncommitted Level = "read uncommitted"   // Adya's PL-1
	ReadCommitted   Level = "read committed"     // PL-2
	Snapshot        Level = "snapshot isolation" // PL-SI, without its order in real time
	Serializable    Level = "serializable"       // PL-3
)

// Levels are all levels, the weakest first.
func Levels() []Level { return []Level{ReadUncommitted, ReadCommitted, Snapshot, Serializable} }

// Forbids says whether a history with the anomaly is not of the level.
func (l Level) Forbids(a Anomaly) bool {
	most := map[Level]Anomaly{ReadUncommitted: G0, ReadCommitted: G1c, Snapshot: GNonadjacent, Serializable: G2Item}[l]
	all := Anomalies()
	return slices.Index(all, a) <= slices.Index(all, most)
}

// A Finding is one anomaly with the transactions that show it.
type Finding struct {
	Anomaly Anomaly
	Txns    []int32 // places in the history; of a cycle in its order
	Why     []string
	txns    []string
}

// String explains the finding so that a person can follow it.
func (f *Finding) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", f.Anomaly)
	for _, t := range f.txns {
		fmt.Fprintf(&b, "  %s\n", t)
	}
	for i, w := range f.Why {
		lead := "  then"
		if i == 0 {
			lead = "  here"
		}
		fmt.Fprintf(&b, "%s %s\n", lead, w)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// A Judgement is what a history comes to.
type Judgement struct {
	Txns      int
	Committed int // of them, known to be
	// Findings have an example or more of every anomaly that was found.
	Findings []Finding
	// Open are the anomalies that there was no time to look for. Cycles are always looked for; what may be open is of which sort
	// those are that were found.
	Open []Anomaly
}

// Found says whether there is an example of an anomaly.
func (j *Judgement) Found(a Anomaly) bool {
	return slices.ContainsFunc(j.Findings, func(f Finding) bool { return f.Anomaly == a })
}

// Of says whether the history is of an isolation level: it fails on an anomaly that the level forbids, and is unknown
// when one of those may be there, or when nothing committed.
func (j *Judgement) Of(l Level) bench.Verdict {
	if slices.ContainsFunc(j.Findings, func(f Finding) bool { return l.Forbids(f.Anomaly) }) {
		return bench.Fails
	}
	if j.Committed == 0 || slices.ContainsFunc(j.Open, l.Forbids) {
		return bench.Unknown
	}
	return bench.Holds
}
