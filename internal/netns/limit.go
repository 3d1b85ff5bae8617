package netns

import (
	"context"
	"fmt"
	"math"

	"github.com/vishvananda/netlink"

	"shakedown/chaos"
)

// limit is a bound on a host's rate.
type limit struct {
	direction      chaos.Direction
	bytesPerSecond int64
}

// The bucket of tokens (tc-tbf(8)) holds what the rate gives in burstTime, and at least one packet as the virtual cable
// takes them; a packet that would wait for longer than queueTime is dropped, as by a switch whose buffer is full.
const (
	burstTime  = 0.01 // s
	leastBurst = 2000 // bytes; an Ethernet frame has 1514
	queueTime  = 0.2  // s
)

// Limit puts a token bucket on the host's end of its cable (upstream), on the switch's end (downstream), or on both.
func (h *Host) Limit(_ context.Context, id string, d chaos.Direction, bytesPerSecond int64) error {
	if bytesPerSecond <= 0 {
		return fmt.Errorf("limiting %s: a rate must be positive, got %d", h.name, bytesPerSecond)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.limits == nil {
		h.limits = map[string]limit{}
	}
	h.limits[id] = limit{d, bytesPerSecond}
	return h.shape()
}

// Unlimit removes a limit.
func (h *Host) Unlimit(_ context.Context, id string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.limits, id)
	return h.shape()
}

// Limited reads the bucket of one end, or, for both directions, the slower, and the packets that waited at either.
func (h *Host) Limited(_ context.Context, d chaos.Direction) (chaos.Limited, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var sum chaos.Limited
	for _, e := range h.ends() {
		if d != chaos.Both && d != e.direction {
			continue
		}
		b, err := e.bucket()
		if err != nil {
			return chaos.Limited{}, fmt.Errorf("the limit on %s: %w", h.name, err)
		}
		if b == nil {
			continue
		}
		if rate := int64(b.Rate); sum.BytesPerSecond == 0 || rate < sum.BytesPerSecond {
			sum.BytesPerSecond = rate
		}
		if b.Statistics != nil && b.Statistics.Queue != nil {
			sum.Waited += int64(b.Statistics.Queue.Overlimits)
		}
	}
	return sum, nil
}

// shape makes the buckets those that the limits add up to. The caller holds mu.
func (h *Host) shape() error {
	for _, e := range h.ends() {
		rate := int64(math.MaxInt64)
		for _, l := range h.limits {
			if l.direction == chaos.Both || l.direction == e.direction {
				rate = min(rate, l.bytesPerSecond)
			}
		}
		if err := e.set(rate); err != nil {
			return fmt.Errorf("limiting %s: %w", h.name, err)
		}
	}
	return nil
}

// end is one end of a host's cable. What it sends, it sends in one direction.
type end struct {
	handle    *netlink.Handle
	device    string
	direction chaos.Direction
}

func (h *Host) ends() []end {
	return []end{{h.handle, uplink, chaos.Upstream}, {h.network.handle, h.port, chaos.Downstream}}
}

// bucket is what limits this end, or nil.
func (e end) bucket() (*netlink.Tbf, error) {
	device, err := e.handle.LinkByName(e.device)
	if err != nil {
		return nil, err
	}
	qdiscs, err := e.handle.QdiscList(device)
	if err != nil {
		return nil, err
	}
	for _, q := range qdiscs {
		if b, ok := q.(*netlink.Tbf); ok && b.Parent == netlink.HANDLE_ROOT {
			return b, nil
		}
	}
	return nil, nil
}

// set gives this end a bucket of the rate, or takes it away. One that has the rate already keeps its counters.
func (e end) set(bytesPerSecond int64) error {
	now, err := e.bucket()
	if err != nil {
		return err
	}
	if bytesPerSecond == math.MaxInt64 {
		if now == nil {
			return nil
		}
		return e.handle.QdiscDel(now)
	}
	if now != nil && now.Rate == uint64(bytesPerSecond) {
		return nil
	}
	device, err := e.handle.LinkByName(e.device)
	if err != nil {
		return err
	}
	burst := max(leastBurst, int64(burstTime*float64(bytesPerSecond)))
	return e.handle.QdiscReplace(&netlink.Tbf{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: device.Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT},
		Rate:       uint64(bytesPerSecond),
		Limit:      uint32(min(burst+int64(queueTime*float64(bytesPerSecond)), math.MaxUint32)),
		Buffer:     netlink.Xmittime(uint64(bytesPerSecond), uint32(min(burst, math.MaxUint32))),
	})
}
