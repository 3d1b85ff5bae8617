package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/quick"
	"time"

	"shakedown/bench"
)

// disk is a file that holds a given number of bytes.
type disk struct {
	bytes.Buffer
	room int
}

func (d *disk) Write(b []byte) (int, error) {
	if free := d.room - d.Len(); len(b) > free {
		_, _ = d.Buffer.Write(b[:free])
		return free, syscall.ENOSPC
	}
	return d.Buffer.Write(b)
}

func (d *disk) Truncate(size int64) error { d.Buffer.Truncate(int(size)); return nil }
func (*disk) Sync() error                 { return nil }
func (*disk) Close() error                { return nil }

func newDisk(t testing.TB, kind segmentKind) (*disk, *segmentWriter) {
	t.Helper()
	d := &disk{room: 1 << 30}
	w, err := newSegmentWriter(d, "disk", kind)
	if err != nil {
		t.Fatal(err)
	}
	return d, w
}

func encodeSamples(t testing.TB, segments ...[]bench.Sample) []byte {
	t.Helper()
	d, w := newDisk(t, samplesKind)
	for _, s := range segments {
		if err := w.append(len(s), appendSamples(nil, s)); err != nil {
			t.Fatal(err)
		}
	}
	return d.Bytes()
}

func decodeSamples(b []byte) (samples []bench.Sample, torn bool, err error) {
	whole, err := readSegments(b, samplesKind, func(count int, raw []byte) (err error) {
		samples, err = readSamples(samples, count, raw)
		return err
	})
	return samples, whole < len(b) || whole < magicLen, err
}

// traffic is what a run looks like: steady arrivals, log-normal answers, a few outcomes.
func traffic(n int) []bench.Sample {
	rng := rand.New(rand.NewPCG(1, 2))
	s := make([]bench.Sample, n)
	var due time.Duration
	for i := range s {
		due += time.Duration(rng.ExpFloat64() * float64(time.Millisecond))
		sent := due + time.Duration(20_000+rng.IntN(50_000))
		service := time.Duration(300_000 * math.Exp(rng.NormFloat64()))
		s[i] = bench.Sample{
			Seq: uint64(i), Op: bench.OpID(rng.IntN(2)), Outcome: bench.OK, Flags: bench.Hit,
			Due: due, Sent: sent, Done: sent + service, Key: rng.Int64N(10_000), Value: rng.Int64N(5_000_000),
		}
		if rng.IntN(50) == 0 {
			s[i].Outcome, s[i].Flags = bench.Refused, 0
		}
	}
	return s
}

func TestAnySampleComesBackExactly(t *testing.T) {
	property := func(rows []bench.Sample) bool {
		for i := range rows {
			rows[i].Outcome %= bench.Unsent + 1
		}
		got, torn, err := decodeSamples(encodeSamples(t, rows))
		return err == nil && !torn && slices.Equal(got, rows)
	}
	if err := quick.Check(property, &quick.Config{MaxCount: 300}); err != nil {
		t.Error(err)
	}
	extremes := []bench.Sample{
		{Seq: math.MaxUint64, Due: math.MinInt64, Sent: math.MaxInt64, Key: math.MinInt64, Value: math.MaxInt64},
		{Seq: 0, Due: math.MaxInt64, Sent: math.MinInt64, Done: -1, Key: math.MaxInt64, Value: math.MinInt64},
	}
	if !property(extremes) {
		t.Error("extreme values do not come back")
	}
}

func TestAnyInFlightCountComesBackExactly(t *testing.T) {
	property := func(rows []InFlight) bool {
		got, err := readInFlight(nil, len(rows), appendColumns(nil, inFlightColumns, rows))
		return err == nil && slices.Equal(got, rows)
	}
	if err := quick.Check(property, nil); err != nil {
		t.Error(err)
	}
}

func TestAFileCutAnywhereLosesOnlyItsTornSegment(t *testing.T) {
	all := traffic(90)
	first := encodeSamples(t, all[:30])
	second := encodeSamples(t, all[:30], all[30:60])
	whole := encodeSamples(t, all[:30], all[30:60], all[60:])
	for cut := range whole {
		var want int
		var clean bool
		switch {
		case cut >= len(second):
			want, clean = 60, cut == len(second)
		case cut >= len(first):
			want, clean = 30, cut == len(first)
		default:
			clean = cut == magicLen
		}
		got, torn, err := decodeSamples(whole[:cut])
		if err != nil || torn == clean || !slices.Equal(got, all[:want]) {
			t.Fatalf("cut at %d of %d: %d samples (want %d), torn %v, %v", cut, len(whole), len(got), want, torn, err)
		}
	}
}

func TestEveryFlippedBitIsNoticed(t *testing.T) {
	all := traffic(60)
	first, whole := encodeSamples(t, all[:30]), encodeSamples(t, all[:30], all[30:])
	for at := range whole {
		bad := bytes.Clone(whole)
		bad[at] ^= 1 << (at % 8)
		got, torn, err := decodeSamples(bad)
		switch {
		case err != nil && !strings.HasPrefix(err.Error(), "offset "):
			t.Fatalf("byte %d: the error does not say where: %v", at, err)
		case err == nil && !torn:
			t.Fatalf("byte %d: not noticed", at)
		case at < len(first) && err == nil:
			t.Fatalf("byte %d: damage before the last segment reads as torn, with %d samples", at, len(got))
		}
	}
}

func TestADiskThatFillsLeavesWholeSegmentsAndAnErrorThatStays(t *testing.T) {
	all := traffic(1000)
	d, w := newDisk(t, samplesKind)
	d.room = 10_000
	var kept error
	wrote := 0
	for rows := range slices.Chunk(all, 100) {
		if err := w.append(len(rows), appendSamples(nil, rows)); err != nil {
			kept = err
			break
		}
		wrote += len(rows)
	}
	if !errors.Is(kept, syscall.ENOSPC) || wrote == 0 {
		t.Fatalf("after %d samples: %v, want ENOSPC", wrote, kept)
	}
	d.room = 1 << 30 // room again: a hole would be worse than an end
	if err := w.append(1, appendSamples(nil, all[:1])); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a later append: %v, want the error that was kept", err)
	}
	if err := w.close(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("close: %v, want the error that was kept", err)
	}
	if got, torn, err := decodeSamples(d.Bytes()); err != nil || torn || !slices.Equal(got, all[:wrote]) {
		t.Errorf("%d samples back of %d, torn %v, %v", len(got), wrote, torn, err)
	}
}

func TestADecoderRefusesOtherFilesAndNewerFormats(t *testing.T) {
	whole := encodeSamples(t, traffic(3))
	newer := bytes.Clone(whole)
	newer[magicLen-1]++
	for name, b := range map[string][]byte{"text": []byte("hello, world"), "short text": []byte("hel"), "newer": newer} {
		if _, _, err := decodeSamples(b); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := readSegments(whole, inFlightKind, func(int, []byte) error { return nil }); err == nil {
		t.Error("samples were read as in-flight counts")
	}
}

func FuzzSegments(f *testing.F) {
	whole := encodeSamples(f, traffic(20), traffic(3))
	f.Add(whole)
	f.Add(whole[:len(whole)-5])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		samples, _, err := decodeSamples(b)
		if err != nil {
			return
		}
		again, torn, err := decodeSamples(encodeSamples(t, samples))
		if err != nil || torn || !slices.Equal(samples, again) {
			t.Fatalf("what was read does not write and read again: torn %v, %v", torn, err)
		}
	})
}

// The columns are checked after the checksum, which a fuzzer does not get past.
func FuzzColumns(f *testing.F) {
	f.Add(3, appendSamples(nil, traffic(3)))
	f.Add(maxRows, []byte{1})
	f.Fuzz(func(t *testing.T, count int, raw []byte) {
		if count < 0 || count > maxRows {
			return
		}
		if rows, err := readSamples(nil, count, raw); err == nil && len(rows) != count {
			t.Fatalf("%d rows, want %d", len(rows), count)
		}
		if rows, err := readInFlight(nil, count, raw); err == nil && len(rows) != count {
			t.Fatalf("%d rows, want %d", len(rows), count)
		}
	})
}

func FuzzLines(f *testing.F) {
	lines, err := appendLines(nil, []Event{{At: 5, Kind: "phase", Name: "baseline"}, {At: 7, Kind: "note", Detail: "a\nb"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(lines)
	f.Add(lines[:len(lines)-4])
	f.Add([]byte("null\n{}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		events, _, err := readLines[Event](b)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "offset ") {
				t.Fatalf("the error does not say where: %v", err)
			}
			return
		}
		again, err := appendLines(nil, events)
		if err != nil {
			t.Fatal(err)
		}
		if back, whole, err := readLines[Event](again); err != nil || whole != len(again) || !reflect.DeepEqual(events, back) {
			t.Fatalf("what was read does not write and read again: %d bytes of %d, %v", whole, len(again), err)
		}
	})
}

func BenchmarkSamples(b *testing.B) {
	samples := traffic(8 * segmentRows)
	asJSON, err := json.Marshal(samples)
	if err != nil {
		b.Fatal(err)
	}
	var encoded []byte
	b.Run("write", func(b *testing.B) {
		for b.Loop() {
			encoded = encodeSamples(b, slices.Collect(slices.Chunk(samples, segmentRows))...)
		}
		b.ReportMetric(float64(len(encoded))/float64(len(samples)), "B/sample")
		b.ReportMetric(float64(len(asJSON))/float64(len(encoded)), "times-smaller-than-JSON")
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(samples)), "ns/sample")
	})
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			if _, _, err := decodeSamples(encoded); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(samples)), "ns/sample")
	})
}
