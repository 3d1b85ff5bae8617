package netns

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"shakedown/chaos"
)

// Supported says in one line why hosts cannot be had on this machine, and what can be had in their place; nil when they can.
// It asks the kernel, once, by making two hosts, with rules and limits, and deleting them again.
func Supported() error { return supported() }

var supported = sync.OnceValue(func() error {
	err := try(context.Background())
	if err != nil && os.Geteuid() != 0 {
		err = errors.New("making one needs root")
	}
	if err != nil {
		return fmt.Errorf("%w; use blackhole on links, which acts in the proxy", err)
	}
	return nil
})

func try(ctx context.Context) (err error) {
	n, err := NewNetwork(ctx, []string{"a", "b"})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	a := n.Host("a")
	for _, answer := range []chaos.Answer{chaos.Silence, chaos.Reject, chaos.RST} {
		if err := a.Filter(ctx, "try", []chaos.PacketRule{{From: "b", Answer: answer, Share: 0.5}}); err != nil {
			return err
		}
	}
	return errors.Join(a.Unfilter(ctx, "try"), a.Limit(ctx, "try", chaos.Both, 1<<20), a.Unlimit(ctx, "try"))
}
