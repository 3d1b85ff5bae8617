package chaos

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// kinds is the list of faults: adding one is one file and one line here.
var kinds = []func() Fault{
	func() Fault { return new(Latency) },
	func() Fault { return new(Loss) },
	func() Fault { return new(Bandwidth) },
	func() Fault { return new(Slicer) },
	func() Fault { return new(Blackhole) },
	func() Fault { return new(HalfOpen) },
	func() Fault { return new(Reset) },
	func() Fault { return new(Close) },
	func() Fault { return new(Timeout) },
	func() Fault { return new(SlowClose) },
	func() Fault { return new(LimitBytes) },
	func() Fault { return new(Refuse) },
	func() Fault { return new(ConnectDelay) },
	func() Fault { return new(Corrupt) },
	func() Fault { return new(Drop) },
	func() Fault { return new(Duplicate) },
	func() Fault { return new(Reorder) },
	func() Fault { return new(Kill) },
	func() Fault { return new(Pause) },
	func() Fault { return new(Partition) },
	func() Fault { return new(PacketLoss) },
	func() Fault { return new(LinkRate) },
	func() Fault { return new(PowerLoss) },
	func() Fault { return new(DiskFull) },
	func() Fault { return new(DiskSlow) },
	func() Fault { return new(FsyncError) },
	func() Fault { return new(DiskError) },
	func() Fault { return new(Terminate) },
	func() Fault { return new(CrashLoop) },
	func() Fault { return new(SlowStart) },
	func() Fault { return new(CPUQuota) },
	func() Fault { return new(CPUBurn) },
	func() Fault { return new(MemoryLimit) },
	func() Fault { return new(FDLimit) },
	func() Fault { return new(ClockSkew) },
	func() Fault { return new(PostgresError) },
	func() Fault { return new(PostgresDelay) },
	func() Fault { return new(CommitDelay) },
	func() Fault { return new(CommitAckLost) },
	func() Fault { return new(CutInTransaction) },
	func() Fault { return new(RedisError) },
	func() Fault { return new(RedisDelay) },
	func() Fault { return new(HTTPError) },
	func() Fault { return new(HTTPDelay) },
	func() Fault { return new(HTTPCut) },
	func() Fault { return new(LockHeld) },
	func() Fault { return new(IdleInTransaction) },
	func() Fault { return new(BackendTerminated) },
	func() Fault { return new(ConnectionsHogged) },
	func() Fault { return new(ReplayDelayed) },
	func() Fault { return new(ClientPause) },
	func() Fault { return new(MaxMemory) },
	func() Fault { return new(KeyEviction) },
	func() Fault { return new(SlowCommand) },
	func() Fault { return new(ReplicationBroken) },
	func() Fault { return new(Failover) },
}

// Kinds are the names of every fault, in the order of the registry.
func Kinds() []string {
	names := make([]string, 0, len(kinds))
	for _, newFault := range kinds {
		names = append(names, newFault().Kind())
	}
	return names
}

// New makes a fault of a kind, with nothing filled in; it returns false when there is no such kind.
func New(kind string) (Fault, bool) {
	for _, newFault := range kinds {
		if f := newFault(); f.Kind() == kind {
			return f, true
		}
	}
	return nil, false
}

// Faults is a list that is written as [{"kind": "latency", "link": …}, …].
type Faults []Fault

// MarshalJSON writes each fault with its kind first.
func (fs Faults) MarshalJSON() ([]byte, error) {
	parts := make([]json.RawMessage, 0, len(fs))
	for _, f := range fs {
		body, err := json.Marshal(f)
		if err != nil {
			return nil, fmt.Errorf("fault %s: %w", f.Kind(), err)
		}
		part := []byte(fmt.Sprintf(`{"kind":%q`, f.Kind()))
		if inner := bytes.TrimPrefix(body, []byte("{")); !bytes.Equal(inner, []byte("}")) {
			part = append(append(part, ','), inner...)
		} else {
			part = append(part, '}')
		}
		parts = append(parts, part)
	}
	return json.Marshal(parts)
}

// UnmarshalJSON reads what MarshalJSON writes and refuses unknown kinds and fields.
func (fs *Faults) UnmarshalJSON(data []byte) error {
	var parts []map[string]json.RawMessage
	if err := json.Unmarshal(data, &parts); err != nil {
		return fmt.Errorf("faults: %w", err)
	}
	*fs = nil
	for i, part := range parts {
		var kind string
		if err := json.Unmarshal(part["kind"], &kind); err != nil {
			return fmt.Errorf("faults[%d]: needs a kind, one of %s", i, strings.Join(Kinds(), ", "))
		}
		delete(part, "kind")
		f, ok := New(kind)
		if !ok {
			return fmt.Errorf("faults[%d]: unknown kind %q; the kinds are %s", i, kind, strings.Join(Kinds(), ", "))
		}
		body, err := json.Marshal(part)
		if err != nil {
			return err
		}
		dec := json.NewDecoder(bytes.NewReader(body))
		dec.DisallowUnknownFields()
		if err := dec.Decode(f); err != nil {
			return fmt.Errorf("faults[%d] (%s): %w", i, kind, err)
		}
		if err := f.Validate(); err != nil {
			return fmt.Errorf("faults[%d] (%s): %w", i, kind, err)
		}
		*fs = append(*fs, f)
	}
	return nil
}
