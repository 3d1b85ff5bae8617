package disk

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"shakedown/chaos"
)

// The model is a file system in memory, written from the words of the package's documentation and sharing nothing with the store: it
// keeps whole copies where the store keeps differences.

// node is a file or folder of the model.
type node struct {
	dir        bool
	data, disk []byte           // of a file: what readers see, and what a sync put on the disk
	names      map[string]*node // of a folder: what readers see
	strict     map[string]*node // of a folder: what its last sync put on the disk
	last       int              // the last change of names that speaks of it
}

// model has every state that its names went through.
type model struct {
	root      *node
	states    []map[*node]map[string]*node // after each change: the names of each folder
	committed int                          // the state that is on the disk in the ordered reading
}

func newModel() *model {
	m := &model{root: &node{dir: true, names: map[string]*node{}, strict: map[string]*node{}}}
	m.states = []map[*node]map[string]*node{m.tree()}
	return m
}

// tree copies all names that can be reached.
func (m *model) tree() map[*node]map[string]*node {
	all := map[*node]map[string]*node{}
	var walk func(*node)
	walk = func(d *node) {
		all[d] = maps.Clone(d.names)
		for _, n := range d.names {
			if n.dir {
				walk(n)
			}
		}
	}
	walk(m.root)
	return all
}

func (m *model) changed(touched ...*node) {
	m.states = append(m.states, m.tree())
	for _, n := range touched {
		if n != nil {
			n.last = len(m.states) - 1
		}
	}
}

func (m *model) sync(n *node) {
	if n.dir {
		n.strict = maps.Clone(n.names)
	} else {
		n.disk = bytes.Clone(n.data)
	}
	m.committed = max(m.committed, n.last)
}

// onDisk lists the paths and contents that a loss leaves.
func (m *model) onDisk(strict bool) map[string]string {
	found := map[string]string{}
	var walk func(string, *node)
	walk = func(at string, d *node) {
		names := m.states[m.committed][d]
		if strict {
			names = d.strict
		}
		for name, n := range names {
			p := filepath.Join(at, name)
			if n.dir {
				found[p] = "folder"
				walk(p, n)
			} else {
				found[p] = "file:" + string(n.disk)
			}
		}
	}
	walk("", m.root)
	return found
}

func (m *model) readers() map[string]string {
	found := map[string]string{}
	var walk func(string, *node)
	walk = func(at string, d *node) {
		for name, n := range d.names {
			p := filepath.Join(at, name)
			if n.dir {
				found[p] = "folder"
				walk(p, n)
			} else {
				found[p] = "file:" + string(n.data)
			}
		}
	}
	walk("", m.root)
	return found
}

// backing lists what the backing folder holds.
func backing(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		if d.IsDir() {
			found[rel] = "folder"
			return nil
		}
		b, err := os.ReadFile(p)
		found[rel] = "file:" + string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// pair is the store beside its model, under the same random operations.
type pair struct {
	t     *testing.T
	rng   *rand.Rand
	s     *store
	m     *model
	clock time.Duration
	log   []string
	hard  map[uint64]*node // files of the backing folder by inode, when the model starts anew
}

func newPair(t *testing.T, seed uint64) *pair {
	t.Helper()
	p := &pair{t: t, rng: rand.New(rand.NewPCG(seed, 1)), m: newModel()}
	s, err := openStore(t.TempDir(), func() time.Duration { return p.clock })
	if err != nil {
		t.Fatal(err)
	}
	p.s = s
	return p
}

func (p *pair) say(format string, args ...any) { p.log = append(p.log, fmt.Sprintf(format, args...)) }

// folders are all folders of the model, with their inodes in the store.
func (p *pair) folder() (*node, *inode, string) {
	type at struct {
		n    *node
		path string
	}
	all := []at{{p.m.root, ""}}
	for i := 0; i < len(all); i++ {
		for _, name := range slices.Sorted(maps.Keys(all[i].n.names)) {
			if n := all[i].n.names[name]; n.dir {
				all = append(all, at{n, filepath.Join(all[i].path, name)})
			}
		}
	}
	pick := all[p.rng.IntN(len(all))]
	return pick.n, p.walk(pick.path), pick.path
}

// walk looks a path up, as the kernel does, and forgets nothing.
func (p *pair) walk(path string) *inode {
	n := p.s.root
	for _, part := range strings.Split(path, "/") {
		if part == "" {
			continue
		}
		next, err := p.s.lookup(n, part)
		if err != nil {
			p.t.Fatalf("looking up %s: %v\n%s", path, err, strings.Join(p.log, "\n"))
		}
		n = next
	}
	return n
}

func (p *pair) name() string { return string(rune('a' + p.rng.IntN(5))) }

// existing is a random name in a folder.
func (p *pair) existing(d *node) (string, *node) {
	names := slices.Sorted(maps.Keys(d.names))
	if len(names) == 0 {
		return "", nil
	}
	name := names[p.rng.IntN(len(names))]
	return name, d.names[name]
}

func (p *pair) step() {
	d, in, at := p.folder()
	switch p.rng.IntN(18) {
	case 0, 1, 2:
		p.create(d, in, at)
	case 3:
		p.mkdir(d, in, at)
	case 4, 5, 6:
		p.write(d, at)
	case 7:
		p.truncate(d, at)
	case 8, 9:
		p.rename(d, in, at)
	case 10:
		p.link(d, at)
	case 11:
		p.remove(d, in, at)
	case 12, 13:
		p.syncFile(d, at)
	case 14:
		p.syncFolder(d, at)
	case 15:
		p.forget(d, at)
	case 16:
		p.swap(d, in, at)
	case 17:
		p.wait()
	}
}

// wait lets the journal commit.
func (p *pair) wait() {
	p.clock += journalInterval
	p.s.tick()
	p.say("wait")
	p.m.committed = len(p.m.states) - 1
}

func (p *pair) create(d *node, in *inode, at string) {
	name := p.name()
	_, err := p.s.create(in, name, 0o600, nil)
	if _, taken := d.names[name]; taken != (err != nil) {
		p.t.Fatalf("creating %s/%s: %v", at, name, err)
	}
	if err == nil {
		p.say("create %s/%s", at, name)
		d.names[name] = &node{}
		p.m.changed(d, d.names[name])
	}
}

func (p *pair) mkdir(d *node, in *inode, at string) {
	name := p.name()
	if strings.Count(at, "/") > 1 {
		return
	}
	if _, err := p.s.mkdir(in, name, 0o700, nil); err != nil {
		return
	}
	p.say("mkdir %s/%s", at, name)
	d.names[name] = &node{dir: true, names: map[string]*node{}, strict: map[string]*node{}}
	p.m.changed(d, d.names[name])
}

// file is a random file of the folder, opened.
func (p *pair) file(d *node, at string) (*node, *inode, *os.File, string) {
	name, n := p.existing(d)
	if n == nil || n.dir {
		return nil, nil, nil, ""
	}
	in := p.walk(filepath.Join(at, name))
	f, err := p.s.openFile(in, unix.O_WRONLY)
	if err != nil {
		p.t.Fatal(err)
	}
	return n, in, f, filepath.Join(at, name)
}

func (p *pair) write(d *node, at string) {
	n, in, f, path := p.file(d, at)
	if n == nil {
		return
	}
	defer func() { _ = f.Close() }()
	off := p.rng.IntN(3 * blockSize)
	if p.rng.IntN(2) == 0 {
		off = len(n.data)
	}
	data := make([]byte, 1+p.rng.IntN(2*blockSize))
	for i := range data {
		data[i] = byte(1 + p.rng.IntN(255))
	}
	if _, err := in.write(p.s.spill, &p.s.room, f, data, int64(off)); err != nil {
		p.t.Fatal(err)
	}
	p.say("write %s %d+%d", path, off, len(data))
	n.data = grown(bytes.Clone(n.data), off+len(data))
	copy(n.data[off:], data)
}

func grown(b []byte, n int) []byte {
	if len(b) < n {
		b = append(b, make([]byte, n-len(b))...)
	}
	return b
}

func (p *pair) truncate(d *node, at string) {
	n, in, f, path := p.file(d, at)
	if n == nil {
		return
	}
	defer func() { _ = f.Close() }()
	size := p.rng.IntN(3 * blockSize)
	if err := p.s.truncate(in, f, int64(size)); err != nil {
		p.t.Fatal(err)
	}
	p.say("truncate %s %d", path, size)
	n.data = bytes.Clone(grown(n.data, size)[:size])
}

func (p *pair) rename(d *node, in *inode, at string) {
	name, n := p.existing(d)
	to, toIn, toAt := p.folder()
	newName := p.name()
	if n == nil {
		return
	}
	over := to.names[newName]
	err := p.s.rename(in, name, toIn, newName, 0)
	p.say("rename %s/%s %s/%s: %v", at, name, toAt, newName, err)
	if err != nil || over == n {
		return
	}
	delete(d.names, name)
	to.names[newName] = n
	p.m.changed(d, to, n, over)
	if n.dir && d != to { // it does so at once
		delete(d.strict, name)
		to.strict[newName] = n
		for was, x := range d.strict {
			if x == n {
				settle(d, was)
			}
		}
	}
}

// settle makes the disk hold what readers see of a name.
func settle(d *node, name string) {
	if delete(d.strict, name); d.names[name] != nil {
		d.strict[name] = d.names[name]
	}
}

// swap exchanges two names of one folder.
func (p *pair) swap(d *node, in *inode, at string) {
	a, x := p.existing(d)
	b, y := p.existing(d)
	if x == nil || x == y {
		return
	}
	if err := p.s.rename(in, a, in, b, unix.RENAME_EXCHANGE); err != nil {
		p.t.Fatal(err)
	}
	p.say("exchange %s/%s %s/%s", at, a, at, b)
	d.names[a], d.names[b] = y, x
	p.m.changed(d, x, y)
}

func (p *pair) link(d *node, at string) {
	name, n := p.existing(d)
	if n == nil || n.dir {
		return
	}
	to, toIn, toAt := p.folder()
	newName := p.name()
	if _, err := p.s.link(p.walk(filepath.Join(at, name)), toIn, newName); err != nil {
		return
	}
	p.say("link %s/%s %s/%s", at, name, toAt, newName)
	to.names[newName] = n
	p.m.changed(to, n)
}

func (p *pair) remove(d *node, in *inode, at string) {
	name, n := p.existing(d)
	if n == nil {
		return
	}
	err := p.s.remove(in, name, n.dir)
	if full := n.dir && len(n.names) > 0; full != (err != nil) {
		p.t.Fatalf("removing %s/%s: %v", at, name, err)
	}
	if err == nil {
		p.say("remove %s/%s", at, name)
		delete(d.names, name)
		p.m.changed(d, n)
	}
}

func (p *pair) syncFile(d *node, at string) {
	n, in, f, path := p.file(d, at)
	if n == nil {
		return
	}
	defer func() { _ = f.Close() }()
	if err := p.s.sync(in, f); err != nil {
		p.t.Fatal(err)
	}
	p.say("sync %s", path)
	p.m.sync(n)
}

func (p *pair) syncFolder(d *node, at string) {
	if err := p.s.sync(p.walk(at), nil); err != nil {
		p.t.Fatal(err)
	}
	p.say("sync folder %s", at)
	p.m.sync(d)
}

// forget lets the kernel drop an inode, as it does when memory is short.
func (p *pair) forget(d *node, at string) {
	if name, n := p.existing(d); n != nil {
		in := p.walk(filepath.Join(at, name))
		p.s.forget(in.id, in.lookups)
	}
}

// TestALossLeavesWhatTheModelHasOnItsDisk is the test of the whole package: random operations, then a loss, then more of both.
func TestALossLeavesWhatTheModelHasOnItsDisk(t *testing.T) {
	sequences := 400
	if testing.Short() {
		sequences = 50
	}
	for seed := range uint64(sequences) {
		p := newPair(t, seed)
		for range 3 {
			for range 5 + p.rng.IntN(60) {
				p.step()
			}
			p.compare("readers", p.m.readers())
			strict := p.rng.IntN(2) == 0
			want := p.m.onDisk(strict)
			if _, err := p.s.lose(chaos.DiskLoss{Strict: strict}); err != nil {
				t.Fatalf("seed %d: losing: %v\n%s", seed, err, strings.Join(p.log, "\n"))
			}
			p.say("lose, strict=%v", strict)
			p.compare("disk", want)
			p.settledModel()
		}
		p.leavesNothing()
		if err := p.s.close(); err != nil {
			t.Fatal(err)
		}
	}
}

func (p *pair) compare(what string, want map[string]string) {
	p.t.Helper()
	got := backing(p.t, p.s.rootDir)
	if maps.Equal(got, want) {
		return
	}
	for _, path := range slices.Sorted(maps.Keys(want)) {
		if got[path] != want[path] {
			p.t.Errorf("%s: %s: got %s, want %s", what, path, brief(got[path]), brief(want[path]))
		}
	}
	for path := range got {
		if _, ok := want[path]; !ok {
			p.t.Errorf("%s: %s is there, and should not be", what, path)
		}
	}
	p.t.Fatal(strings.Join(p.log, "\n"))
}

func brief(s string) string {
	if s == "" {
		return "nothing"
	}
	return fmt.Sprintf("%.12q (%d bytes)", s, len(s))
}

// settledModel makes the model start anew from what is in the backing folder: what a loss left is on the disk.
func (p *pair) settledModel() {
	p.m = newModel()
	var fill func(string, *node)
	fill = func(at string, d *node) {
		entries, err := os.ReadDir(filepath.Join(p.s.rootDir, at))
		if err != nil {
			p.t.Fatal(err)
		}
		for _, e := range entries {
			path := filepath.Join(at, e.Name())
			n := &node{dir: e.IsDir(), names: map[string]*node{}, strict: map[string]*node{}}
			if n.dir {
				fill(path, n)
			} else {
				n = p.linked(path)
			}
			d.names[e.Name()] = n
		}
		d.strict = maps.Clone(d.names)
	}
	p.hard = map[uint64]*node{}
	fill("", p.m.root)
	p.m.states = []map[*node]map[string]*node{p.m.tree()}
}

// linked is the model's file for a path; names of one inode share it.
func (p *pair) linked(path string) *node {
	var st unix.Stat_t
	full := filepath.Join(p.s.rootDir, path)
	if err := unix.Lstat(full, &st); err != nil {
		p.t.Fatal(err)
	}
	if p.hard[st.Ino] == nil {
		data, err := os.ReadFile(full)
		if err != nil {
			p.t.Fatal(err)
		}
		p.hard[st.Ino] = &node{data: data, disk: bytes.Clone(data)}
	}
	return p.hard[st.Ino]
}

func (p *pair) leavesNothing() {
	p.t.Helper()
	if err := p.s.syncAll(); err != nil {
		p.t.Fatal(err)
	}
	if n := p.s.spill.used(); n != 0 {
		p.t.Errorf("%d blocks are kept though all is on the disk", n)
	}
	if graves, _ := os.ReadDir(p.s.undoDir); len(graves) != 0 {
		p.t.Errorf("%d graves are left though all is on the disk", len(graves))
	}
}
