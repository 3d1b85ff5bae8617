package workdir

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"shakedown/internal/proc/procfs"
)

// MarkerEnv is the environment variable that every child of a run carries, so that what a dead harness left behind can be
// told from everything else on the machine.
const MarkerEnv = "SHAKEDOWN_RUN"

// entry is one line of the journal. Each is on the disk before the act it speaks of.
type entry struct {
	Seq  int    `json:"seq"`
	Kind string `json:"kind"` // opened, intent, started, ended, fault, healed
	Of   int    `json:"of,omitempty"`
	// opened: with the pid, start time and boot of the harness
	Token string `json:"token,omitempty"`
	// intent, started
	Name       string `json:"name,omitempty"`
	Exe        string `json:"exe,omitempty"`
	PID        int    `json:"pid,omitempty"`
	StartTicks uint64 `json:"start_ticks,omitempty"`
	Boot       string `json:"boot,omitempty"`
	// fault
	Text string   `json:"text,omitempty"`
	Undo string   `json:"undo,omitempty"` // the kind of an Undo; empty where nothing but processes has to end
	Args []string `json:"args,omitempty"`
}

// Journal notes, before each act, what a run is about to start or change. It may be used by many goroutines. After a
// failed write it refuses every further note: a run that cannot keep its journal must not act.
type Journal struct {
	marker string
	mu     sync.Mutex
	f      *os.File
	seq    int
	failed error
}

func newJournal(dir string) (*Journal, error) {
	path := filepath.Join(dir, journalFile)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o644)
	if err != nil {
		return nil, explain("making the journal", path, err)
	}
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	token := hex.EncodeToString(b[:])
	j := &Journal{marker: marker(dir, token), f: f}
	opened, err := owner()
	if err == nil {
		opened.Kind, opened.Token = "opened", token
		_, err = j.append(opened)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return j, nil
}

// owner names this process for good.
func owner() (entry, error) {
	boot, err := procfs.BootID()
	if err != nil {
		return entry{}, err
	}
	self, err := procfs.ReadStat(os.Getpid())
	if err != nil {
		return entry{}, fmt.Errorf("journal: reading the harness's own state: %w", err)
	}
	return entry{PID: self.PID, StartTicks: self.StartTicks, Boot: boot}, nil
}

// gone says whether the process that the entry names is known to have ended.
func (e entry) gone(boot string) bool {
	if e.PID == 0 {
		return false
	}
	st, err := procfs.ReadStat(e.PID)
	return e.Boot != boot || errors.Is(err, procfs.ErrGone) || err == nil && (st.Gone() || st.StartTicks != e.StartTicks)
}

func marker(dir, token string) string { return MarkerEnv + "=" + dir + "#" + token }

// Marker is the entry, NAME=value, that belongs in the environment of every child of the run.
func (j *Journal) Marker() string { return j.marker }

// Intent notes that a program is about to be started; its pid is not known yet. The number it returns names the process
// in Started and Ended.
func (j *Journal) Intent(name, exe string) (int, error) {
	return j.append(entry{Kind: "intent", Name: name, Exe: exe})
}

// Started notes the pid and start time of the process that was announced by the intent.
func (j *Journal) Started(intent, pid int, startTicks uint64) error {
	boot, err := procfs.BootID()
	if err != nil {
		return err
	}
	_, err = j.append(entry{Kind: "started", Of: intent, PID: pid, StartTicks: startTicks, Boot: boot})
	return err
}

// Ended notes that the process is gone, with everything below it.
func (j *Journal) Ended(intent int) error {
	_, err := j.append(entry{Kind: "ended", Of: intent})
	return err
}

// Fault notes that something is about to be changed, in words, and what takes it back if this process cannot: the kind of
// an Undo and its arguments. The kind is empty where the change ends with the processes of the run.
func (j *Journal) Fault(text, undo string, args ...string) (int, error) {
	return j.append(entry{Kind: "fault", Text: text, Undo: undo, Args: args})
}

// Healed notes that the fault is undone.
func (j *Journal) Healed(fault int) error {
	_, err := j.append(entry{Kind: "healed", Of: fault})
	return err
}

func (j *Journal) append(e entry) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failed != nil {
		return 0, j.failed
	}
	e.Seq = j.seq + 1
	line, err := json.Marshal(e)
	if err != nil {
		return 0, fmt.Errorf("journal: %w", err)
	}
	if _, err = j.f.Write(append(line, '\n')); err == nil {
		err = j.f.Sync()
	}
	if err != nil {
		j.failed = explain("writing the run's journal", j.f.Name(), err)
		return 0, j.failed
	}
	j.seq = e.Seq
	return e.Seq, nil
}

func (j *Journal) close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failed == nil {
		j.failed = errors.New("the run's journal is closed")
	}
	return j.f.Close()
}

// left is what a journal says was started or changed and not ended or healed.
type left struct {
	marker string // "" when the journal does not get as far
	owner  entry  // the harness that made the run
	procs  []entry
	exes   []string // programs that were to be started, whether or not they were
	faults []entry
}

// readJournal reads the journal of a dead run. A missing journal is an empty one: its run did nothing yet. A line cut
// short by the death of its writer ends it: what it would have announced was not done.
func readJournal(dir string) (left, error) {
	raw, err := os.ReadFile(filepath.Join(dir, journalFile))
	if errors.Is(err, fs.ErrNotExist) {
		return left{}, nil
	}
	if err != nil {
		return left{}, fmt.Errorf("reading the journal of a dead run: %w", err)
	}
	return parseJournal(dir, raw), nil
}

func parseJournal(dir string, raw []byte) left {
	var l left
	open := map[int]entry{}
	intents := map[int]entry{}
	var order []int
	lines := bufio.NewScanner(bytes.NewReader(raw))
	for lines.Scan() {
		var e entry
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			break
		}
		switch e.Kind {
		case "opened":
			l.marker, l.owner = marker(dir, e.Token), e
		case "intent":
			intents[e.Seq] = e
			l.exes = append(l.exes, e.Exe)
		case "started":
			e.Name, e.Exe = intents[e.Of].Name, intents[e.Of].Exe
			open[e.Of], order = e, append(order, e.Of)
		case "fault":
			open[e.Seq], order = e, append(order, e.Seq)
		case "ended", "healed":
			delete(open, e.Of)
		}
	}
	for _, seq := range order {
		switch e, ok := open[seq]; {
		case ok && e.Kind == "started":
			l.procs = append(l.procs, e)
		case ok:
			l.faults = append(l.faults, e)
		}
	}
	return l
}
