package chaos

import (
	"fmt"
	"strconv"
	"strings"
)

// leastShare bounds how rare an effect may be: a probe meets a rarer one too seldom to prove it in a reasonable time.
const leastShare = 0.01

// checkShare says what is wrong with a share of a link's connections.
func checkShare(share float64) error {
	if share != 0 && !(share >= leastShare && share <= 1) {
		return fmt.Errorf("share is %v; it must be from %v to 1, or left out for all connections", share, leastShare)
	}
	return nil
}

// leastRate bounds how rarely something may happen to a segment, chunk or datagram, for the same reason.
const leastRate = 0.001

// checkRate says what is wrong with a rate at which something happens to segments, chunks or datagrams.
func checkRate(rate, most float64) error {
	if !(rate >= leastRate && rate <= most) {
		return fmt.Errorf("rate is %v; it must be from %v to %v (0.01 is 1 %%)", rate, leastRate, most)
	}
	return nil
}

// on says where a fault acts: "on service→redis", "upstream on service→redis for 20% of connections".
func on(link string, d Direction, share float64) string {
	where := "on " + arrow(link)
	if d != Both {
		where = string(d) + " " + where
	}
	return where + of(share)
}

// of names a share of connections, when it is not all.
func of(share float64) string {
	if share == 0 || share == 1 {
		return ""
	}
	return " for " + percent(share) + " of connections"
}

func percent(p float64) string {
	return strings.TrimSuffix(strings.TrimRight(strconv.FormatFloat(100*p, 'f', 4, 64), "0"), ".") + "%"
}

// A networker is a Link that knows what it carries; one that does not is taken for a stream.
type networker interface {
	Network() string // "tcp", "unix" or "udp"
}

// availableOn wants links of that name, all of which carry what the fault acts on.
func availableOn(s Surface, f Fault, link string, what carries) error {
	links, err := linksOf(s, link)
	if err != nil {
		return err
	}
	for _, l := range links {
		n, ok := l.(networker)
		datagrams := ok && n.Network() == "udp"
		switch {
		case what == streams && datagrams:
			return fmt.Errorf("%s carries datagrams, and %s acts on connections", l.Name(), f.Kind())
		case what == datagramsOnly && !datagrams:
			return fmt.Errorf("%s carries a stream, which loses and reorders nothing; for what TCP makes of it, use loss", l.Name())
		}
	}
	return nil
}

// carries is what a fault can act on.
type carries int

const (
	anything carries = iota
	streams
	datagramsOnly
)
