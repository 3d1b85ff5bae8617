package disk

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"shakedown/chaos"
)

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, f *os.File, off int64, text string) {
	t.Helper()
	_, err := f.WriteAt([]byte(text), off)
	must(t, err)
}

func create(t *testing.T, path string, flags int) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|flags, 0o644)
	must(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func wantFile(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("%s holds %.60q, %v; want %.60q", path, got, err, want)
	}
}

func wantGone(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s: %v, want that it is not there", path, err)
	}
}

// TestItIsAFileSystem goes through what programs rely on, as pjdfstest does.
func TestItIsAFileSystem(t *testing.T) {
	r := newRig(t)
	for name, test := range map[string]func(*testing.T, *rig, string){
		"a file that is renamed over stays readable": renamedOver,
		"an unlinked file lives until it is closed":  unlinkedOpen,
		"O_APPEND appends":                           appends,
		"truncate cuts and zero-fills":               truncates,
		"mappings are read and written":              maps2,
		"holes are punched and space is allocated":   holes,
		"hard links share an inode":                  hardLinks,
		"symbolic links are followed":                symLinks,
		"folders list, nest and refuse":              folders,
		"O_EXCL, modes and times":                    modes,
		"copies between files":                       copies,
		"renames with flags":                         renameFlags,
	} {
		t.Run(name, func(t *testing.T) {
			dir := r.path(strings.ReplaceAll(name, " ", "-"))
			must(t, os.Mkdir(dir, 0o755))
			test(t, r, dir)
		})
	}
}

func renamedOver(t *testing.T, _ *rig, dir string) {
	old := create(t, dir+"/to", 0)
	write(t, old, 0, "old")
	write(t, create(t, dir+"/from", 0), 0, "new")
	must(t, os.Rename(dir+"/from", dir+"/to"))
	wantFile(t, dir+"/to", "new")
	wantGone(t, dir+"/from")
	b := make([]byte, 3)
	if _, err := old.ReadAt(b, 0); err != nil || string(b) != "old" {
		t.Errorf("the replaced file reads %q, %v", b, err)
	}
	write(t, old, 3, "er")
}

func unlinkedOpen(t *testing.T, _ *rig, dir string) {
	f := create(t, dir+"/f", 0)
	write(t, f, 0, "still here")
	must(t, os.Remove(dir+"/f"))
	wantGone(t, dir+"/f")
	var st unix.Stat_t
	must(t, unix.Fstat(int(f.Fd()), &st))
	if st.Nlink != 0 {
		t.Errorf("%d links, want 0", st.Nlink)
	}
	write(t, f, 10, ", and written")
	b := make([]byte, 23)
	if _, err := f.ReadAt(b, 0); err != nil || string(b) != "still here, and written" {
		t.Errorf("reads %q, %v", b, err)
	}
	must(t, f.Sync())
	write(t, create(t, dir+"/f", os.O_EXCL), 0, "another")
	wantFile(t, dir+"/f", "another")
}

func appends(t *testing.T, _ *rig, dir string) {
	a, b := create(t, dir+"/f", os.O_APPEND), create(t, dir+"/f", os.O_APPEND)
	for _, f := range []*os.File{a, b, a} {
		_, err := f.WriteString("x.")
		must(t, err)
	}
	wantFile(t, dir+"/f", "x.x.x.")
}

func truncates(t *testing.T, _ *rig, dir string) {
	f := create(t, dir+"/f", 0)
	write(t, f, 0, "0123456789")
	must(t, f.Truncate(4), os.Truncate(dir+"/f", 6))
	wantFile(t, dir+"/f", "0123\x00\x00")
	must(t, create(t, dir+"/f", os.O_TRUNC).Close())
	wantFile(t, dir+"/f", "")
	write(t, f, 9000, "far")
	if got, _ := os.ReadFile(dir + "/f"); len(got) != 9003 || bytes.Trim(got[:9000], "\x00") != nil {
		t.Errorf("%d bytes", len(got))
	}
}

func maps2(t *testing.T, _ *rig, dir string) {
	f := create(t, dir+"/f", 0)
	write(t, f, 0, strings.Repeat("a", 8192))
	m, err := unix.Mmap(int(f.Fd()), 0, 8192, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	must(t, err)
	defer func() { must(t, unix.Munmap(m)) }()
	write(t, f, 100, "B")
	if m[100] != 'B' || m[101] != 'a' {
		t.Errorf("the mapping shows %q", m[99:102])
	}
	m[5000] = 'C'
	b := make([]byte, 3)
	if _, err := f.ReadAt(b, 4999); err != nil || string(b) != "aCa" {
		t.Errorf("a read shows %q, %v", b, err)
	}
	must(t, unix.Msync(m, unix.MS_SYNC))
}

func holes(t *testing.T, _ *rig, dir string) {
	f := create(t, dir+"/f", 0)
	write(t, f, 0, strings.Repeat("a", 3*4096))
	must(t, unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 4096, 4096))
	want := strings.Repeat("a", 4096) + strings.Repeat("\x00", 4096) + strings.Repeat("a", 4096)
	wantFile(t, dir+"/f", want)
	hole, err := unix.Seek(int(f.Fd()), 0, unix.SEEK_HOLE)
	if err != nil || hole != 4096 {
		t.Errorf("the first hole is at %d, %v", hole, err)
	}
	must(t, unix.Fallocate(int(f.Fd()), 0, 0, 4*4096))
	wantFile(t, dir+"/f", want+strings.Repeat("\x00", 4096))
	if err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_COLLAPSE_RANGE, 0, 4096); !errors.Is(err, unix.EOPNOTSUPP) {
		t.Errorf("collapsing: %v", err)
	}
}

func hardLinks(t *testing.T, _ *rig, dir string) {
	f := create(t, dir+"/a", 0)
	must(t, os.Link(dir+"/a", dir+"/b"))
	write(t, f, 0, "shared")
	wantFile(t, dir+"/b", "shared")
	a, err1 := os.Stat(dir + "/a")
	b, err2 := os.Stat(dir + "/b")
	must(t, err1, err2)
	if !os.SameFile(a, b) {
		t.Error("the names have different inodes")
	}
	must(t, os.Remove(dir+"/a"))
	wantFile(t, dir+"/b", "shared")
	if err := os.Link(dir+"/b", dir+"/b"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("linking over itself: %v", err)
	}
}

func symLinks(t *testing.T, _ *rig, dir string) {
	must(t, os.Symlink("f", dir+"/l"), os.WriteFile(dir+"/f", []byte("there"), 0o600))
	wantFile(t, dir+"/l", "there")
	if to, err := os.Readlink(dir + "/l"); to != "f" || err != nil {
		t.Errorf("it leads to %q, %v", to, err)
	}
}

func folders(t *testing.T, _ *rig, dir string) {
	must(t, os.MkdirAll(dir+"/a/b/c", 0o755), os.WriteFile(dir+"/a/f", nil, 0o600))
	if err := os.Remove(dir + "/a"); !errors.Is(err, unix.ENOTEMPTY) {
		t.Errorf("removing a full folder: %v", err)
	}
	if err := unix.Rename(dir+"/a", dir+"/a/b/c/d"); !errors.Is(err, unix.EINVAL) {
		t.Errorf("moving a folder into itself: %v", err)
	}
	var names []string
	for i := range 300 {
		name := strings.Repeat("n", 20+i%100) + string(rune('a'+i%26)) + strings.Repeat("m", i/26)
		names = append(names, name)
		must(t, os.WriteFile(dir+"/a/b/"+name, nil, 0o600))
	}
	entries, err := os.ReadDir(dir + "/a/b")
	must(t, err)
	if len(entries) != len(names)+1 {
		t.Errorf("%d entries, want %d", len(entries), len(names)+1)
	}
	must(t, os.Rename(dir+"/a/b", dir+"/moved"), os.RemoveAll(dir+"/moved"), os.Remove(dir+"/a/f"), os.Remove(dir+"/a"))
}

func modes(t *testing.T, _ *rig, dir string) {
	old := unix.Umask(0o027)
	defer unix.Umask(old)
	f := create(t, dir+"/f", os.O_EXCL)
	if info, _ := f.Stat(); info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v", info.Mode())
	}
	if _, err := os.OpenFile(dir+"/f", os.O_CREATE|os.O_EXCL, 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("O_EXCL: %v", err)
	}
	must(t, f.Chmod(0o444))
	if info, _ := os.Stat(dir + "/f"); info.Mode().Perm() != 0o444 {
		t.Errorf("mode %v", info.Mode())
	}
	times := []unix.Timespec{{Sec: 1000}, {Sec: 2000}}
	must(t, unix.UtimesNanoAt(unix.AT_FDCWD, dir+"/f", times, 0))
	if info, _ := os.Stat(dir + "/f"); info.ModTime().Unix() != 2000 {
		t.Errorf("time %v", info.ModTime())
	}
}

func copies(t *testing.T, _ *rig, dir string) {
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	must(t, os.WriteFile(dir+"/a", big, 0o600))
	in, err := os.Open(dir + "/a")
	must(t, err)
	defer func() { _ = in.Close() }()
	out := create(t, dir+"/b", 0)
	_, err = io.Copy(out, in) // copy_file_range(2), sendfile(2) or read and write
	must(t, err)
	wantFile(t, dir+"/b", string(big))
}

func renameFlags(t *testing.T, _ *rig, dir string) {
	must(t, os.WriteFile(dir+"/a", []byte("a"), 0o600), os.WriteFile(dir+"/b", []byte("b"), 0o600))
	rename := func(flags uint) error {
		return unix.Renameat2(unix.AT_FDCWD, dir+"/a", unix.AT_FDCWD, dir+"/b", flags)
	}
	if err := rename(unix.RENAME_NOREPLACE); !errors.Is(err, fs.ErrExist) {
		t.Errorf("without replacing: %v", err)
	}
	must(t, rename(unix.RENAME_EXCHANGE))
	wantFile(t, dir+"/a", "b")
	wantFile(t, dir+"/b", "a")
}

// TestWhatIsOnTheDiskAndWhatIsNot is the contract of fsync(2) and its relatives, through the kernel.
func TestWhatIsOnTheDiskAndWhatIsNot(t *testing.T) {
	fd := func(f *os.File) int { return int(f.Fd()) }
	for name, tc := range map[string]struct {
		flags int
		after func(*os.File) error
		kept  bool
	}{
		"nothing":          {0, func(*os.File) error { return nil }, false},
		"close":            {0, func(f *os.File) error { return f.Close() }, false},
		"sync_file_range":  {0, func(f *os.File) error { return unix.SyncFileRange(fd(f), 0, 0, 7) }, false},
		"fsync":            {0, func(f *os.File) error { return unix.Fsync(fd(f)) }, true},
		"fdatasync":        {0, func(f *os.File) error { return unix.Fdatasync(fd(f)) }, true},
		"O_SYNC":           {unix.O_SYNC, func(*os.File) error { return nil }, true},
		"O_DSYNC":          {unix.O_DSYNC, func(*os.File) error { return nil }, true},
		"msync":            {0, mapped(unix.MS_SYNC), true},
		"msync, not waits": {0, mapped(unix.MS_ASYNC), false},
		"RWF_DSYNC": {0, func(f *os.File) error {
			_, err := unix.Pwritev2(fd(f), [][]byte{[]byte("new")}, 0, unix.RWF_DSYNC)
			return err
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			must(t, os.WriteFile(r.path("f"), []byte("old"), 0o600), r.Settle(t.Context()))
			f, err := os.OpenFile(r.path("f"), os.O_RDWR|tc.flags, 0)
			must(t, err)
			write(t, f, 0, "new")
			must(t, tc.after(f))
			_ = f.Close()
			wantFile(t, r.path("f"), "new")
			lost, err := r.Lose(t.Context(), chaos.DiskLoss{})
			must(t, err)
			want := map[bool]string{true: "new", false: "old"}[tc.kept]
			wantFile(t, r.path("f"), want)
			if (lost.Writes == 0) != tc.kept || !lost.CanaryGone || !lost.CanaryKept {
				t.Errorf("lost %+v", lost)
			}
		})
	}
}

// mapped changes the file through a mapping.
func mapped(how int) func(*os.File) error {
	return func(f *os.File) error {
		m, err := unix.Mmap(int(f.Fd()), 0, 3, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if err != nil {
			return err
		}
		copy(m, "new")
		return errors.Join(unix.Msync(m, how), unix.Munmap(m))
	}
}

func TestNamesByBothReadings(t *testing.T) {
	for _, strict := range []bool{false, true} {
		r := newRig(t)
		must(t, os.WriteFile(r.path("old"), []byte("1"), 0o600), r.Settle(t.Context()))
		must(t, os.Rename(r.path("old"), r.path("moved")))
		f := create(t, r.path("synced"), 0)
		write(t, f, 0, "2")
		must(t, f.Sync(), f.Close()) // takes what happened before with it, or does not
		must(t, os.WriteFile(r.path("unsynced"), []byte("3"), 0o600), os.Rename(r.path("synced"), r.path("late")))
		lost, err := r.Lose(t.Context(), chaos.DiskLoss{Strict: strict})
		must(t, err)
		var names []string
		entries, err := os.ReadDir(r.mnt)
		must(t, err)
		for _, e := range entries {
			names = append(names, e.Name())
		}
		want := []string{canaryFile, chaos.DiskProbeFile, "moved", "synced"}
		if strict { // synced has no name on the disk, and old still has its first
			want = []string{canaryFile, chaos.DiskProbeFile, "old"}
		}
		if slices.Sort(names); !slices.Equal(names, want) || lost.Names == 0 {
			t.Errorf("strict %v: %q is left, want %q; lost %+v", strict, names, want, lost)
		}
	}
}

func TestTornWritesKeepSectorsWhole(t *testing.T) {
	const sectors = 64
	tear := func(seed uint64) string {
		r := newRig(t)
		must(t, os.WriteFile(r.path("f"), bytes.Repeat([]byte("o"), sectors*sectorSize), 0o600), r.Settle(t.Context()))
		must(t, os.WriteFile(r.path("g"), nil, 0o600), r.Settle(t.Context()))
		f, g := create(t, r.path("f"), 0), create(t, r.path("g"), 0)
		write(t, f, 0, strings.Repeat("n", sectors*sectorSize))
		write(t, g, 0, strings.Repeat("n", sectors*sectorSize-100))
		must(t, f.Close(), g.Close())
		_, err := r.Lose(t.Context(), chaos.DiskLoss{Torn: true, Seed: seed})
		must(t, err)
		got, err := os.ReadFile(r.path("f"))
		must(t, err)
		var picture strings.Builder
		for i := range sectors {
			sector := string(got[i*sectorSize : (i+1)*sectorSize])
			if strings.Trim(sector, sector[:1]) != "" {
				t.Fatalf("sector %d is half old and half new", i)
			}
			picture.WriteString(sector[:1])
		}
		tail, err := os.ReadFile(r.path("g"))
		must(t, err)
		if len(tail)%sectorSize != 0 && len(tail) != sectors*sectorSize-100 || strings.Trim(string(tail), "n") != "" {
			t.Errorf("%d bytes of what was appended are left", len(tail))
		}
		return picture.String()
	}
	first := tear(1)
	if !strings.Contains(first, "o") || !strings.Contains(first, "n") {
		t.Errorf("nothing is torn: %s", first)
	}
	if again := tear(1); again != first {
		t.Errorf("the same seed tore\n%s and then\n%s", first, again)
	}
	if other := tear(2); other == first {
		t.Error("another seed tears the same")
	}
}

func TestADiskInUseCannotLoseItsPower(t *testing.T) {
	r := newRig(t)
	f := create(t, r.path("f"), 0)
	ctx, cancel := contextSoon(t)
	defer cancel()
	if _, err := r.Lose(ctx, chaos.DiskLoss{}); err == nil || !strings.Contains(err.Error(), "somebody still uses it") {
		t.Errorf("losing under an open file: %v", err)
	}
	must(t, f.Close())
	_, err := r.Lose(t.Context(), chaos.DiskLoss{})
	must(t, err)
}

func TestAMountWhoseProcessWasKilledIsTakenAway(t *testing.T) {
	r := newRig(t)
	f := create(t, r.path("f"), 0)
	must(t, r.cmd.Process.Kill())
	_ = r.cmd.Wait()
	if _, err := os.Stat(r.path("f")); !errors.Is(err, unix.ENOTCONN) && !errors.Is(err, unix.ECONNABORTED) {
		t.Errorf("a dead mount says %v", err)
	}
	_ = f.Close()
	for range 2 { // also when it is gone already
		must(t, Unmount(t.Context(), []string{r.mnt}))
	}
	if there, err := mountedAt(r.mnt); there || err != nil {
		t.Errorf("still mounted: %v, %v", there, err)
	}
	wantGone(t, r.path("f"))
}

func TestUnmountTouchesNoOtherMount(t *testing.T) {
	must(t, Unmount(t.Context(), []string{"/"}), Unmount(t.Context(), []string{"/proc"}))
	for _, args := range [][]string{nil, {"relative"}, {"/a", "/b"}} {
		if err := Unmount(t.Context(), args); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
}
