package procfs

import (
	"os"
	"slices"
	"testing"
	"time"
)

func TestALimitLeavesAsManyDescriptorsAsAskedFor(t *testing.T) {
	for _, open := range [][]int{nil, {0, 1, 2}, {0, 1, 2, 10}, {1, 5, 6, 100}, {7}} {
		for spare := range 12 {
			f := Files{Open: open}
			f.Limit = f.LimitFor(spare)
			if got := f.Spare(); got != spare {
				t.Errorf("%v open, %d to spare: a limit of %d leaves %d", open, spare, f.Limit, got)
			}
		}
	}
}

func TestFilesOfThisProcess(t *testing.T) {
	before, err := ReadFiles(os.Getpid())
	if err != nil || before.Limit < len(before.Open) || before.Hard < uint64(before.Limit) {
		t.Fatalf("%+v, %v", before, err)
	}
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	now, err := ReadFiles(os.Getpid())
	if err != nil || !slices.Contains(now.Open, int(f.Fd())) {
		t.Errorf("%+v, %v: descriptor %d is open", now, err, f.Fd())
	}
	if _, err := ReadFiles(1 << 30); err == nil {
		t.Error("a process that does not exist has files")
	}
}

func TestLimitsThatAreNoNumbers(t *testing.T) {
	if soft, hard, err := parseLimits("Max open files            1024                 unlimited            files     \n"); soft != 1024 || hard == 0 || err != nil {
		t.Errorf("%d, %d, %v", soft, hard, err)
	}
	for _, text := range []string{"", "Max open files 1 2", "Max open files x y files", "Max processes 1 2 processes"} {
		if _, _, err := parseLimits(text); err == nil {
			t.Errorf("%q has a limit", text)
		}
	}
}

func TestProcessorTimeGrows(t *testing.T) {
	for began := time.Now(); ; {
		used, err := CPUTime(os.Getpid())
		if err != nil || used > time.Since(began)*1000+time.Hour {
			t.Fatalf("%v, %v", used, err)
		}
		if used > 0 {
			return // this loop is what uses it
		}
	}
}
