package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// left lists what is left of all that ran in the sandbox: processes, sockets, mounts, and files in the cache's work folder.
func (s *sandbox) left() []string {
	s.t.Helper()
	var left []string
	for _, pid := range s.processes() {
		left = append(left, fmt.Sprintf("process %d: %s", pid, procFile(pid, "cmdline")))
	}
	for _, line := range lines(s.t, "/proc/net/unix") {
		if strings.Contains(line, s.cache+"/") {
			left = append(left, "socket "+line)
		}
	}
	for _, line := range lines(s.t, "/proc/self/mountinfo") {
		if strings.Contains(line, s.cache+"/") {
			left = append(left, "mount "+line)
		}
	}
	entries, err := os.ReadDir(filepath.Join(s.cache, "work"))
	if err != nil && !os.IsNotExist(err) {
		s.t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != ".lock" {
			left = append(left, "work/"+e.Name())
		}
	}
	return left
}

// processes are those that carry the sandbox's mark, or work below its cache: servers overwrite their environment with a title.
func (s *sandbox) processes() []int {
	s.t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		s.t.Fatal(err)
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || gone(pid) {
			continue
		}
		cwd, _ := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
		if strings.HasPrefix(cwd, s.cache+"/") || strings.Contains("\x00"+procFile(pid, "environ"), "\x00"+s.mark+"\x00") {
			pids = append(pids, pid)
		}
	}
	return pids
}

// gone says whether the process is gone or a zombie: a zombie runs no more, and is its parent's to collect.
func gone(pid int) bool {
	stat := procFile(pid, "stat")
	_, rest, ok := strings.Cut(stat, ") ")
	return !ok || strings.HasPrefix(rest, "Z") || strings.HasPrefix(rest, "X")
}

func procFile(pid int, name string) string {
	raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name)) // a process that has gone has none
	return string(raw)
}

func lines(t *testing.T, path string) []string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for scan := bufio.NewScanner(bytes.NewReader(raw)); scan.Scan(); {
		all = append(all, scan.Text())
	}
	return all
}

// listening are the inodes of the TCP sockets that listen and that the processes hold.
func listening(t *testing.T, pids []int) map[string]bool {
	t.Helper()
	held := map[string]bool{}
	for _, pid := range pids {
		dir := fmt.Sprintf("/proc/%d/fd", pid)
		fds, _ := os.ReadDir(dir) // the process may be ending
		for _, fd := range fds {
			target, _ := os.Readlink(filepath.Join(dir, fd.Name()))
			if inode, ok := strings.CutPrefix(target, "socket:["); ok {
				held[strings.TrimSuffix(inode, "]")] = true
			}
		}
	}
	found := map[string]bool{}
	for inode := range listeners(t) {
		if held[inode] {
			found[inode] = true
		}
	}
	return found
}

// listeners are the inodes of all listening TCP sockets of the machine (proc_pid_net(5)): state 0A is LISTEN.
func listeners(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for _, path := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		if _, err := os.Stat(path); err != nil {
			continue // a kernel without IPv6
		}
		for _, line := range lines(t, path) {
			if f := strings.Fields(line); len(f) > 9 && f[3] == "0A" {
				found[f[9]] = true
			}
		}
	}
	return found
}
