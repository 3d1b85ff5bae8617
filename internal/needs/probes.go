package needs

import (
	"errors"
	"fmt"
	"os"
)

// networkNamespaces says whether this process may make network namespaces, without making one.
func networkNamespaces() (string, error) {
	if _, err := os.Stat("/proc/self/ns/net"); err != nil {
		return "", errors.New("the kernel has none; use blackhole on links")
	}
	if os.Geteuid() != 0 {
		return "", errors.New("the kernel has them, and making one needs root; use blackhole on links")
	}
	return "yes, as root", nil
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
