package isolation

// table holds the pairs that the cases read and write.
const table = "shakedown_pairs"

// A probeCase is an interleaving in which one anomaly can be seen, and how it is known. The histories are those of Hermitage
// (M. Kleppmann, github.com/ept/hermitage), after A. Adya, "Weak Consistency", 1999, and P. Bailis et al., "Highly Available Transactions",
// VLDB 7(3), 2013. Each begins with 1:10 and 2:20.
type probeCase struct {
	name  string // the number of the audit
	title string
	seed  string // the rows it begins with, as SQL writes them; empty: 1:10 and 2:20
	steps []step
	// seen says whether the run shows the anomaly: whether what was read and what was left is impossible without it.
	seen func(r *run) bool
	why  string // what is wrong with a run in which it was seen
}

const (
	readPairs = "select id, v from " + table
	readOne   = readPairs + " where id = 1"
	readTwo   = readPairs + " where id = 2"
)

func set(id, v string) string { return "update " + table + " set v = " + v + " where id = " + id }

func add(id, v string) string { return "insert into " + table + " values (" + id + ", " + v + ")" }

// script writes steps as pairs of a session and a statement; a third part names a result.
type script []step

func (s script) then(in int, sql string, name ...string) script {
	st := step{in: in, sql: sql}
	if len(name) > 0 {
		st.name = name[0]
	}
	return append(s, st)
}

// begun is a script whose sessions have begun a transaction each.
func begun(sessions int) (s script) {
	for i := range sessions {
		s = s.then(i+1, "begin")
	}
	return s
}

// value is what a named read saw of a key; there is none when it was not read, or not there.
func (r *run) value(name string, id int64) (int64, bool) {
	for _, x := range r.named[name].rows {
		if x.id == id {
			return x.v, true
		}
	}
	return 0, false
}

// saw says whether a named read saw the value under the key.
func (r *run) saw(name string, id, v int64) bool {
	got, ok := r.value(name, id)
	return ok && got == v
}

// left says whether the table has these values in the end.
func (r *run) left(v1, v2 int64) bool {
	return len(r.final) == 2 && r.final[0].v == v1 && r.final[1].v == v2
}

// empty says whether a named read was made, and found nothing.
func (r *run) empty(name string) bool {
	read, made := r.named[name]
	return made && len(read.rows) == 0
}

var cases = []probeCase{
	{
		name: "G0", title: "G0, dirty write", why: "each of the two has the last word on one row",
		steps: begun(2).then(1, set("1", "11")).then(2, set("1", "12")).then(1, set("2", "21")).then(1, "commit").then(2, set("2", "22")).then(2, "commit"),
		seen: func(r *run) bool {
			return r.committed(1, 2) && (r.left(11, 22) || r.left(12, 21))
		},
	},
	{
		name: "G1a", title: "G1a, aborted read", why: "T2 read what T1 wrote, and T1 took back",
		steps: begun(2).then(1, set("1", "101")).then(2, readPairs, "a").then(1, "rollback").then(2, readPairs, "b").then(2, "commit"),
		seen:  func(r *run) bool { return r.saw("a", 1, 101) || r.saw("b", 1, 101) },
	},
	{
		name: "G1b", title: "G1b, intermediate read", why: "T2 read what T1 wrote, and wrote over before it committed",
		steps: begun(2).then(1, set("1", "101")).then(2, readPairs, "a").then(1, set("1", "11")).then(1, "commit").then(2, readPairs, "b").then(2, "commit"),
		seen:  func(r *run) bool { return r.saw("a", 1, 101) || r.saw("b", 1, 101) },
	},
	{
		name: "G1c", title: "G1c, circular information flow", why: "each of the two read what the other wrote",
		steps: begun(2).then(1, set("1", "11")).then(2, set("2", "22")).then(1, readTwo, "a").then(2, readOne, "b").then(1, "commit").then(2, "commit"),
		seen:  func(r *run) bool { return r.committed(1, 2) && r.saw("a", 2, 22) && r.saw("b", 1, 11) },
	},
	{
		name: "OTV", title: "OTV, an observed transaction vanishes", why: "T3 saw T2's write to one row beside T1's, which came before, to the other",
		steps: begun(3).then(1, set("1", "11")).then(1, set("2", "19")).then(2, set("1", "12")).then(1, "commit").then(3, readPairs, "a").
			then(2, set("2", "18")).then(3, readPairs, "b").then(2, "commit").then(3, readPairs, "c").then(3, "commit"),
		seen: func(r *run) bool {
			for _, read := range []string{"a", "b", "c"} {
				if r.saw(read, 1, 12) && r.saw(read, 2, 19) || r.saw(read, 1, 11) && r.saw(read, 2, 18) {
					return true
				}
			}
			return false
		},
	},
	{
		name: "PMP", title: "PMP, predicate-many-preceders, read: a phantom", why: "a row that T2 inserted came between two reads of T1",
		steps: begun(2).then(1, readPairs+" where v = 30", "a").then(2, add("3", "30")).then(2, "commit").then(1, readPairs+" where v % 3 = 0", "b").then(1, "commit"),
		seen:  func(r *run) bool { return r.committed(1, 2) && r.empty("a") && r.saw("b", 3, 30) },
	},
	{
		name: "PMP-write", title: "PMP, predicate-many-preceders, write", why: "T2 deleted by a condition, and neither what it had read nor what T1 left to meet it is gone",
		steps: begun(2).then(1, "update "+table+" set v = v + 10").then(2, readPairs+" where v = 20", "a").then(2, "delete from "+table+" where v = 20").
			then(1, "commit").then(2, readPairs+" where v = 20", "b").then(2, "commit"),
		seen: func(r *run) bool {
			// One after the other, T2 reads 2:20 and 1:20 is left, or T2 reads 1:20 and 2:30 is left.
			serial := func(read, left row) bool {
				return r.saw("a", read.id, read.v) && len(r.final) == 1 && r.final[0] == left && r.empty("b")
			}
			return r.committed(1, 2) && !serial(row{2, 20}, row{1, 20}) && !serial(row{1, 20}, row{2, 30})
		},
	},
	{
		name: "P4", title: "P4, lost update", why: "both changed what both had read, and one change is lost",
		steps: begun(2).then(1, readOne, "a").then(2, readOne, "b").then(1, set("1", "11")).then(2, set("1", "12")).then(1, "commit").then(2, "commit"),
		seen:  func(r *run) bool { return r.committed(1, 2) && r.saw("a", 1, 10) && r.saw("b", 1, 10) },
	},
	{
		name: "G-single", title: "G-single, read skew", why: "T1 read one row from before T2, and the other from after it",
		steps: begun(2).then(1, readOne, "a").then(2, readOne).then(2, readTwo).then(2, set("1", "12")).then(2, set("2", "18")).then(2, "commit").
			then(1, readTwo, "b").then(1, "commit"),
		seen: func(r *run) bool { return r.committed(1, 2) && r.saw("a", 1, 10) && r.saw("b", 2, 18) },
	},
	{
		name: "G-single-dep", title: "G-single, read skew by conditions", why: "T1 read by one condition from before T2, and by another from after it",
		steps: begun(2).then(1, readPairs+" where v % 5 = 0", "a").then(2, "update "+table+" set v = 12 where v = 10").then(2, "commit").
			then(1, readPairs+" where v % 3 = 0", "b").then(1, "commit"),
		seen: func(r *run) bool { return r.committed(1, 2) && r.saw("a", 1, 10) && r.saw("b", 1, 12) },
	},
	{
		name: "G-single-write", title: "G-single, read skew on a write by a condition", why: "T1 read from before T2, and its delete met what is after T2",
		steps: begun(2).then(1, readOne, "a").then(2, readPairs).then(2, set("1", "12")).then(2, set("2", "18")).then(2, "commit").
			then(1, "delete from "+table+" where v = 20", "d").then(1, readTwo).then(1, "commit"),
		seen: func(r *run) bool { return r.committed(1, 2) && r.saw("a", 1, 10) && r.named["d"].changed == 0 },
	},
	{
		name: "G2-item", title: "G2-item, write skew", why: "each of the two changed what the other had read, and neither saw that",
		steps: begun(2).then(1, readPairs+" where id in (1, 2)", "a").then(2, readPairs+" where id in (1, 2)", "b").then(1, set("1", "11")).
			then(2, set("2", "21")).then(1, "commit").then(2, "commit"),
		seen: func(r *run) bool { return r.committed(1, 2) && r.saw("a", 2, 20) && r.saw("b", 1, 10) },
	},
	{
		name: "G2", title: "G2, anti-dependency cycle on a condition", why: "each of the two inserted what the other's condition would have met",
		steps: begun(2).then(1, readPairs+" where v % 3 = 0", "a").then(2, readPairs+" where v % 3 = 0", "b").then(1, add("3", "30")).
			then(2, add("4", "42")).then(1, "commit").then(2, "commit"),
		seen: func(r *run) bool { return r.committed(1, 2) && r.empty("a") && r.empty("b") },
	},
	{
		name: "G2-read-only", title: "G2, the read-only transaction anomaly", why: "T3, which only reads, has seen T2 and not T1, though T1 has not seen T2",
		steps: script{}.then(1, "begin").then(1, readPairs, "a").then(2, "begin").then(2, set("2", "v + 5")).then(2, "commit").then(3, "begin").
			then(3, readPairs, "b").then(3, "commit").then(1, set("1", "0")).then(1, "commit"),
		seen: func(r *run) bool {
			return r.committed(1, 2, 3) && r.saw("a", 2, 20) && r.saw("b", 2, 25) && r.saw("b", 1, 10)
		},
	},
}
