package needs

import (
	"fmt"
	"os"

	"shakedown/internal/netns"
)

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
