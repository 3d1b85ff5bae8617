package workdir

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// User is an account of the machine.
type User struct {
	Name     string
	UID, GID uint32
}

// EngineUser is the ordinary user that engines run as when the harness is root: "postgres" where it exists, else
// "nobody". It is false when the harness is no root; engines then run as the harness does.
func EngineUser() (User, bool) {
	if os.Geteuid() != 0 {
		return User{}, false
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil && uid != 0 {
			return User{Name: name, UID: uint32(uid), GID: uint32(gid)}, true
		}
	}
	return User{Name: "nobody", UID: 65534, GID: 65534}, true
}

// mayEnter says why the user may not pass through the path, nil when it may. Parts that do not exist yet will be made
// with permissions that let everybody pass. Access lists are not looked at: permission bits decide.
func (u User) mayEnter(path string) error {
	for dir := path; ; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err == nil {
			if st, ok := info.Sys().(*syscall.Stat_t); ok && !u.enters(st) {
				return fmt.Errorf("may not enter %s (mode %04o)", dir, info.Mode().Perm())
			}
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}

func (u User) enters(st *syscall.Stat_t) bool {
	switch {
	case st.Uid == u.UID:
		return st.Mode&0o100 != 0
	case st.Gid == u.GID:
		return st.Mode&0o010 != 0
	}
	return st.Mode&0o001 != 0
}
