package needs

import (
	"fmt"
	"os"

	"shakedown/internal/cgroup"
	"shakedown/internal/netns"
)

// groups says where control groups with the controller can be made.
func groups(c cgroup.Controller, instead string) func() (string, error) {
	return func() (string, error) {
		place, err := cgroup.Find(c)
		if err != nil {
			return "", fmt.Errorf("%w; %s", err, instead)
		}
		return "yes, " + place.String(), nil
	}
}

// networkNamespaces says whether hosts can be made here, with all that faults of hosts use.
func networkNamespaces() (string, error) {
	if err := netns.Supported(); err != nil {
		return "", err
	}
	return "yes, with veth, bridge, nftables and tbf", nil
}

func fuse() (string, error) {
	const path = "/dev/fuse"
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return "", fmt.Errorf("%w; load the module fuse, as root", err)
	}
	_ = f.Close()
	return "yes, " + path, nil
}
