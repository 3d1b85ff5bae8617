package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"
)

// A segment file is a magic number and then segments, each written by one write(2):
//
//	offset  size  field
//	0       4     count of rows
//	4       4     length of the columns before compression
//	8       4     length of the payload
//	12      4     CRC-32C of the payload
//	16      4     CRC-32C of bytes 0–15
//	20      …     payload: the columns, compressed with zstd
//
// All numbers are little-endian. A process that is killed leaves a prefix of such a file, so a file that ends within a
// segment is torn: what comes before is whole. Anything else that does not check is corruption.
const (
	magicLen   = 8
	headerLen  = 20
	maxRaw     = 64 << 20 // of one segment; bounds what a reader allocates
	maxRows    = 1 << 16
	fileFormat = 1 // the last byte of the magic number
)

type segmentKind string

const (
	samplesKind  segmentKind = "shkdnSM"
	inFlightKind segmentKind = "shkdnIF"
)

func (k segmentKind) magic() []byte { return append([]byte(k), fileFormat) }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A file is what a segment file is written to.
type file interface {
	io.Writer
	io.Closer
	Truncate(size int64) error
	Sync() error
}

// A segmentWriter appends segments to a file. Its first error is kept: nothing is written after a hole.
type segmentWriter struct {
	f    file
	path string
	enc  *zstd.Encoder
	size int64 // of what is whole
	buf  []byte
	err  error
}

func newSegmentWriter(f file, path string, kind segmentKind) (*segmentWriter, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(1<<19)) // a segment is not much larger
	if err != nil {
		return nil, fmt.Errorf("starting compression: %w", err)
	}
	w := &segmentWriter{f: f, path: path, enc: enc}
	if err := w.write(kind.magic()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return w, nil
}

// append writes one segment of count rows.
func (w *segmentWriter) append(count int, raw []byte) error {
	if w.err != nil {
		return w.err
	}
	w.buf = append(w.buf[:0], make([]byte, headerLen)...)
	w.buf = w.enc.EncodeAll(raw, w.buf)
	b := w.buf
	payload := b[headerLen:]
	binary.LittleEndian.PutUint32(b[0:], uint32(count))
	binary.LittleEndian.PutUint32(b[4:], uint32(len(raw)))
	binary.LittleEndian.PutUint32(b[8:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(b[12:], crc32.Checksum(payload, castagnoli))
	binary.LittleEndian.PutUint32(b[16:], crc32.Checksum(b[:16], castagnoli))
	return w.write(b)
}

// write is all or nothing: of a write that fails half-way, say because the disk is full, the half is cut off again.
func (w *segmentWriter) write(b []byte) error {
	if _, err := w.f.Write(b); err != nil {
		w.err = fmt.Errorf("writing %s: %w", w.path, cause(err))
		if err := w.f.Truncate(w.size); err != nil {
			w.err = errors.Join(w.err, fmt.Errorf("cutting off a torn write: %w", err))
		}
		return w.err
	}
	w.size += int64(len(b))
	return nil
}

// close makes what was written durable. It returns the error that was kept, if there is one.
func (w *segmentWriter) close() error {
	err := w.err
	if serr := w.f.Sync(); err == nil && serr != nil {
		err = fmt.Errorf("syncing %s: %w", w.path, cause(serr))
	}
	if cerr := w.f.Close(); err == nil && cerr != nil {
		err = fmt.Errorf("closing %s: %w", w.path, cause(cerr))
	}
	return errors.Join(err, w.enc.Close())
}

// cause drops the operation and path of a path error: the caller names both, once.
func cause(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// readSegments calls rows with the columns of each segment of a segment file, whose content b is. whole is the length
// of what is whole: less than all when the file ends within a segment, or with one whose payload does not check. Errors
// name the offset.
func readSegments(b []byte, kind segmentKind, rows func(count int, raw []byte) error) (whole int, err error) {
	magic := kind.magic()
	if len(b) < magicLen {
		if string(b) != string(magic[:len(b)]) {
			return 0, errors.New("offset 0: not a file of this kind")
		}
		return 0, nil
	}
	if string(b[:magicLen-1]) != string(kind) {
		return 0, errors.New("offset 0: not a file of this kind")
	}
	if v := b[magicLen-1]; v != fileFormat {
		return 0, fmt.Errorf("offset %d: format %d; this shakedown reads format %d", magicLen-1, v, fileFormat)
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxRaw))
	if err != nil {
		return 0, fmt.Errorf("starting decompression: %w", err)
	}
	defer dec.Close()
	var raw []byte
	for off := magicLen; off < len(b); {
		rest := b[off:]
		if len(rest) < headerLen {
			return off, nil
		}
		head, err := parseHeader(rest)
		if err != nil {
			return 0, fmt.Errorf("offset %d: %w", off, err)
		}
		if int64(len(rest)) < headerLen+int64(head.payload) {
			return off, nil
		}
		payload := rest[headerLen : headerLen+head.payload]
		next := off + headerLen + head.payload
		if crc32.Checksum(payload, castagnoli) != head.crc {
			if next == len(b) {
				return off, nil // the last one: torn by a machine that stopped before its disk had all
			}
			return 0, fmt.Errorf("offset %d: the segment's checksum does not match", off)
		}
		if raw, err = dec.DecodeAll(payload, raw[:0]); err != nil {
			return 0, fmt.Errorf("offset %d: decompressing: %w", off, err)
		}
		if len(raw) != head.raw {
			return 0, fmt.Errorf("offset %d: segment has %d bytes, its header says %d", off, len(raw), head.raw)
		}
		if err := rows(head.count, raw); err != nil {
			return 0, fmt.Errorf("offset %d: %w", off, err)
		}
		off = next
	}
	return len(b), nil
}

type segmentHeader struct {
	count, raw, payload int
	crc                 uint32
}

func parseHeader(b []byte) (segmentHeader, error) {
	if crc32.Checksum(b[:16], castagnoli) != binary.LittleEndian.Uint32(b[16:]) {
		return segmentHeader{}, errors.New("the segment header's checksum does not match")
	}
	count, raw, payload := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:]), binary.LittleEndian.Uint32(b[8:])
	if count > maxRows || raw > maxRaw || payload > maxRaw {
		return segmentHeader{}, fmt.Errorf("segment of %d rows and %d bytes; the limits are %d and %d", count, raw, maxRows, maxRaw)
	}
	return segmentHeader{int(count), int(raw), int(payload), binary.LittleEndian.Uint32(b[12:])}, nil
}
