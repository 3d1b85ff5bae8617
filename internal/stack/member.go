package stack

import (
	"context"
	"fmt"

	"shakedown/internal/netns"
)

// A Grouper is a Kind whose servers can be members of one group, which decides by majority.
type Grouper interface {
	// StartMember starts the member whose name and host o has, on the same network as the others, and returns once the group can decide:
	// so members have to be started together. On an error nothing is left running.
	StartMember(ctx context.Context, o StartOptions, members []Member) (Instance, error)
}

// A Member of a group is a server with a host of its own.
type Member struct {
	Name string
	Host *netns.Host
}

var _ Grouper = etcdKind{}

// MemberName is the name of the nth member of a group: "etcd", and then "etcd-member-1".
func MemberName(engine string, n int) string {
	if n == 0 {
		return engine
	}
	return fmt.Sprintf("%s-member-%d", engine, n)
}
