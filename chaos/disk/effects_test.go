package disk

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"shakedown/chaos"
)

func TestAFullDiskTakesNoMoreThanItsRoomAndGivesItBack(t *testing.T) {
	r := newRig(t)
	must(t, r.Shape(t.Context(), "full", chaos.DiskEffect{Full: true, Room: 10_000}))
	f := create(t, r.path("f"), 0)
	n, err := f.Write(make([]byte, 12_000))
	if n != 10_000 || !errors.Is(err, unix.ENOSPC) {
		t.Errorf("wrote %d, %v; want 10000 and no space", n, err)
	}
	if _, err := f.WriteAt([]byte("over"), 100); err != nil {
		t.Errorf("overwriting: %v", err)
	}
	if err := unix.Fallocate(int(f.Fd()), 0, 0, 20_000); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("allocating: %v", err)
	}
	must(t, f.Truncate(4000), os.WriteFile(r.path("g"), make([]byte, 6000), 0o600))
	if err := os.WriteFile(r.path("h"), []byte("x"), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("one byte more: %v", err)
	}
	must(t, os.Rename(r.path("h"), r.path("g"))) // the 6000 bytes are free again
	must(t, os.WriteFile(r.path("i"), make([]byte, 6000), 0o600), os.Remove(r.path("i")), os.WriteFile(r.path("j"), make([]byte, 6000), 0o600))
	must(t, r.Clear(t.Context(), "full"), os.WriteFile(r.path("k"), make([]byte, 20_000), 0o600))
}

// TestAFailedFsyncIsThatOfLinux: the data is there until the power fails, the next fsync succeeds, and what is written again is safe.
func TestAFailedFsyncIsThatOfLinux(t *testing.T) {
	r := newRig(t)
	old := bytes.Repeat([]byte("o"), 3*blockSize)
	must(t, os.WriteFile(r.path("f"), old, 0o600), r.Settle(t.Context()))
	must(t, r.Shape(t.Context(), "fails", chaos.DiskEffect{FailSync: 2, Files: "f"}))
	f := create(t, r.path("f"), 0)
	write(t, f, 0, "first")
	must(t, f.Sync())
	write(t, f, blockSize, "second")
	write(t, f, 2*blockSize, "third")
	write(t, f, 3*blockSize, "appended")
	if err := f.Sync(); !errors.Is(err, unix.EIO) {
		t.Errorf("the second fsync: %v", err)
	}
	write(t, f, 2*blockSize, "again")
	must(t, f.Sync(), f.Close())
	got, err := os.ReadFile(r.path("f"))
	must(t, err)
	if !bytes.HasPrefix(got[blockSize:], []byte("second")) || !bytes.HasSuffix(got, []byte("appended")) {
		t.Error("a failed fsync has changed what readers see")
	}
	_, err = r.Lose(t.Context(), chaos.DiskLoss{})
	must(t, err)
	want := append(bytes.Clone(old), make([]byte, len("appended"))...)
	copy(want, "first")
	copy(want[2*blockSize:], "again")
	if got, _ := os.ReadFile(r.path("f")); !bytes.Equal(got, want) {
		t.Errorf("the disk holds %q %q %q %q", got[:6], got[blockSize:blockSize+6], got[2*blockSize:2*blockSize+6], got[3*blockSize:])
	}
	if c, err := r.Counters(t.Context()); err != nil || c.FailedSyncs != 1 {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestPatternsChooseFiles(t *testing.T) {
	for _, tt := range []struct {
		pattern, name string
		want          bool
	}{
		{"", "data/pg_wal/0001", true},
		{"*.aof", "data/appendonlydir/a.aof", true},
		{"*.aof", "data/a.rdb", false},
		{"data/pg_wal/*", "data/pg_wal/0001", true},
		{"pg_wal/*", "data/pg_wal/0001", true},
		{"pg_wal/*", "data/base/0001", false},
		{"a/b/*", "b/c", false},
	} {
		if got := matches(tt.pattern, tt.name); got != tt.want {
			t.Errorf("%q matches %q: %v", tt.pattern, tt.name, got)
		}
	}
}
