package netns

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"

	"shakedown/chaos"
)

// Rules stand in the host that packets arrive at, on the way to its sockets. A packet has then crossed the network, and its
// sender hears nothing of its end: dropped on the way out, the kernel would tell the sender's TCP at once. Every fault has
// a table of its own; a packet that one of them drops is gone, and one that none of them drops is delivered.
const chainName = "arriving"

// The comments of rules say which packets they count.
const (
	ofTraffic = "traffic from "
	ofProbes  = "probes from "
)

// outOf is what a share is drawn from: the resolution is one in a million.
const outOf = 1_000_000

func table(id string) *nftables.Table {
	name := "shakedown_" + strings.ReplaceAll(id, "-", "_")
	return &nftables.Table{Name: name, Family: nftables.TableFamilyIPv4}
}

func (h *Host) nft() (*nftables.Conn, error) {
	return nftables.New(nftables.WithNetNSFd(int(h.space.file.Fd())))
}

// Filter puts the rules in force in one transaction.
func (h *Host) Filter(_ context.Context, id string, rules []chaos.PacketRule) error {
	conn, err := h.nft()
	if err != nil {
		return err
	}
	t := table(id)
	conn.AddTable(t) // deleting one that is not there would fail
	conn.DelTable(t)
	conn.AddTable(t)
	chain := conn.AddChain(&nftables.Chain{
		Name: chainName, Table: t, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookInput, Priority: nftables.ChainPriorityFilter,
	})
	for _, r := range rules {
		from := h.network.byName[r.From]
		if from == nil {
			return fmt.Errorf("filtering on %s: there is no host %s", h.name, r.From)
		}
		for _, probes := range []bool{true, false} {
			comment := ofTraffic
			if probes {
				comment = ofProbes
			}
			for _, answer := range answers(r.Answer) {
				exprs := append(fromHost(from, probes), answer.match...)
				exprs = append(append(exprs, draw(r.Share)...), &expr.Counter{}, answer.verdict)
				conn.AddRule(&nftables.Rule{
					Table: t, Chain: chain, Exprs: exprs, UserData: userdata.AppendString(nil, userdata.TypeComment, comment+from.name),
				})
			}
		}
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("filtering on %s: %w", h.name, err)
	}
	return nil
}

// Unfilter deletes the table of the id.
func (h *Host) Unfilter(_ context.Context, id string) error {
	conn, err := h.nft()
	if err != nil {
		return err
	}
	t := table(id)
	conn.AddTable(t)
	conn.DelTable(t)
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("removing the filter on %s: %w", h.name, err)
	}
	return nil
}

// Filtered adds the kernel's counters up, for each host that packets came from.
func (h *Host) Filtered(_ context.Context, id string) ([]chaos.Filtered, error) {
	conn, err := h.nft()
	if err != nil {
		return nil, err
	}
	tables := []*nftables.Table{table(id)}
	if id == "" {
		if tables, err = conn.ListTablesOfFamily(nftables.TableFamilyIPv4); err != nil {
			return nil, fmt.Errorf("listing the filters on %s: %w", h.name, err)
		}
	}
	var sum []chaos.Filtered
	for _, t := range tables {
		rules, err := conn.GetRules(t, &nftables.Chain{Name: chainName, Table: t})
		if errors.Is(err, unix.ENOENT) { // gone since, or never there
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("counters of the filters on %s: %w", h.name, err)
		}
		for _, r := range rules {
			sum = count(sum, r)
		}
	}
	return sum, nil
}

// count adds what one rule has counted.
func count(sum []chaos.Filtered, r *nftables.Rule) []chaos.Filtered {
	comment, _ := userdata.GetString(r.UserData, userdata.TypeComment)
	from, probes := strings.CutPrefix(comment, ofProbes)
	if !probes {
		from = strings.TrimPrefix(comment, ofTraffic)
	}
	at := slices.IndexFunc(sum, func(f chaos.Filtered) bool { return f.From == from })
	if at < 0 {
		at, sum = len(sum), append(sum, chaos.Filtered{From: from})
	}
	for _, e := range r.Exprs {
		if c, ok := e.(*expr.Counter); ok && probes {
			sum[at].Probes += int64(c.Packets)
		} else if ok {
			sum[at].Traffic += int64(c.Packets)
		}
	}
	return sum
}

// The offsets of fields in an IPv4 header (RFC 791, 3.1).
const (
	tosOffset    = 1
	sourceOffset = 12
)

// fromHost matches the packets of a host that are those of probes, or those that are not. The two low bits of the type of
// service are ECN's (RFC 3168), and anybody's.
func fromHost(from *Host, probes bool) []expr.Any {
	is := expr.CmpOpNeq
	if probes {
		is = expr.CmpOpEq
	}
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: sourceOffset, Len: 4},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: from.addr.AsSlice()},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: tosOffset, Len: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 1, Mask: []byte{0xfc}, Xor: []byte{0}},
		&expr.Cmp{Op: is, Register: 1, Data: []byte{probeTOS}},
	}
}

// draw lets a share of the packets through to what follows it in the rule; the kernel draws.
func draw(share float64) []expr.Any {
	if share == 0 || share >= 1 {
		return nil
	}
	return []expr.Any{
		&expr.Numgen{Register: 1, Modulus: outOf, Type: unix.NFT_NG_RANDOM},
		&expr.Byteorder{SourceRegister: 1, DestRegister: 1, Op: expr.ByteorderHton, Len: 4, Size: 4},
		&expr.Cmp{Op: expr.CmpOpLt, Register: 1, Data: binaryutil.BigEndian.PutUint32(uint32(share * outOf))},
	}
}

// answer is one way to end a packet, and the packets it is for.
type answer struct {
	match   []expr.Any
	verdict expr.Any
}

// The codes of ICMP "destination unreachable" (RFC 792, RFC 1812).
const (
	portUnreachable = 3
	prohibited      = 13
)

func answers(a chaos.Answer) []answer {
	protocol := func(op expr.CmpOp) []expr.Any {
		return []expr.Any{&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, &expr.Cmp{Op: op, Register: 1, Data: []byte{unix.IPPROTO_TCP}}}
	}
	switch a {
	case chaos.Reject:
		return []answer{{nil, &expr.Reject{Type: unix.NFT_REJECT_ICMP_UNREACH, Code: prohibited}}}
	case chaos.RST:
		return []answer{
			{protocol(expr.CmpOpEq), &expr.Reject{Type: unix.NFT_REJECT_TCP_RST}},
			{protocol(expr.CmpOpNeq), &expr.Reject{Type: unix.NFT_REJECT_ICMP_UNREACH, Code: portUnreachable}},
		}
	}
	return []answer{{nil, &expr.Verdict{Kind: expr.VerdictDrop}}}
}
