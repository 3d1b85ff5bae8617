package needs

import (
	"fmt"
	"os"

	"shakedown/chaos/disk"
	"shakedown/internal/cgroup"
	"shakedown/internal/faketime"
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

func library() (string, error) {
	path, err := faketime.Find()
	if err != nil {
		return "", err
	}
	return "yes, " + path, nil
}

// fuse says whether disks of our own can be mounted here.
func fuse() (string, error) {
	if err := disk.Available(); err != nil {
		return "", err
	}
	if os.Geteuid() == 0 {
		return "yes, mounted as root", nil
	}
	return "yes, mounted by fusermount3", nil
}
