package proxy

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A model of a ring: the bytes in order, and the lengths of the records.
type model struct {
	data    []byte
	records []int
}

func TestARingIsAQueueOfBytesWithTheirRecords(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 3))
		pool := &blocks{budget: &budget{}}
		r := &ring{blocks: pool}
		var m model
		for range 500 {
			switch rng.IntN(5) {
			case 0: // sizes around those of the blocks
				data := make([]byte, 1+rng.IntN([]int{10, smallBlock + 10, bufferBytes}[rng.IntN(3)]))
				_, _ = stream(rng.Uint64()).Read(data)
				m.data, m.records = append(m.data, data...), append(m.records, len(data))
				if rng.IntN(2) == 0 {
					r.add(record{}, data)
				} else {
					buf := make([]byte, bufferBytes)
					r.extend(record{}, &block{data: buf}, copy(buf, data))
				}
			case 1, 2, 3:
				if len(m.records) > 0 {
					n := min(m.records[0], 1+rng.IntN(bufferBytes))
					r.drop(n)
					if m.data, m.records[0] = m.data[n:], m.records[0]-n; m.records[0] == 0 {
						m.records = m.records[1:]
					}
				}
			case 4:
				if rng.IntN(100) == 0 {
					r.clear()
					m = model{}
				}
			}
			m.check(t, r, rng)
		}
		r.clear()
		if used := pool.budget.used.Load(); used != 0 {
			t.Fatalf("seed %d: %d bytes are still counted", seed, used)
		}
		if pool.spare > spareBytes {
			t.Fatalf("seed %d: %d bytes are kept for later", seed, pool.spare)
		}
	}
}

func (m *model) check(t *testing.T, r *ring, rng *rand.Rand) {
	t.Helper()
	if r.bytes != len(m.data) || r.n != len(m.records) || r.cost != len(m.data)+recordBytes*len(m.records) {
		t.Fatalf("%d bytes in %d records at a cost of %d; want %d in %d", r.bytes, r.n, r.cost, len(m.data), len(m.records))
	}
	for i, n := range m.records {
		if r.at(i).left != n {
			t.Fatalf("record %d has %d bytes, want %d", i, r.at(i).left, n)
		}
	}
	if len(m.data) == 0 {
		return
	}
	pieces, n := r.gather(make([]unix.Iovec, 0, 1+rng.IntN(16)), 1+rng.IntN(len(m.data)))
	var got []byte
	for _, p := range pieces {
		got = append(got, unsafe.Slice(p.Base, p.Len)...)
	}
	if len(got) != n || !bytes.Equal(got, m.data[:n]) {
		t.Fatalf("%d bytes were gathered, which are not the first", n)
	}
}

// slept is an owner of timers.
type slept struct{}

func (slept) alarmed() {}

func TestTimersComeInOrder(t *testing.T) {
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 4))
		var h timers
		all := make([]timer, 50)
		want := map[*timer]time.Duration{}
		for range 1000 {
			tm := &all[rng.IntN(len(all))]
			tm.owner = slept{}
			switch at := time.Duration(rng.IntN(100)); rng.IntN(4) {
			case 0:
				h.drop(tm)
				delete(want, tm)
			case 1:
				h.set(tm, never)
				delete(want, tm)
			default:
				h.set(tm, at)
				want[tm] = at
			}
		}
		var times []time.Duration
		for _, at := range want {
			times = append(times, at)
		}
		slices.Sort(times)
		for i, at := range times {
			if h.next() != at || h.due(at-1) != nil {
				t.Fatalf("seed %d: the %dth is at %d, not at %d", seed, i, h.next(), at)
			}
			tm := h.due(at)
			if want[tm] != at || tm.pos != 0 {
				t.Fatalf("seed %d: the wrong one comes at %d", seed, at)
			}
			delete(want, tm)
		}
		if h.next() != never {
			t.Fatalf("seed %d: %d are left", seed, len(h))
		}
	}
}
