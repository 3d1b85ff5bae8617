package cgroup

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeMachine is a machine whose files are in a directory: those of proc(5) and, for each group, those that are named.
func fakeMachine(t *testing.T, mountinfo, own string, files map[string]string) machine {
	t.Helper()
	m := machine{root: t.TempDir()}
	all := map[string]string{"/proc/self/mountinfo": mountinfo, "/proc/self/cgroup": own}
	for path, text := range files {
		all[path] = text
	}
	for path, text := range all {
		path = m.root + path
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

const (
	v2Mount = "28 21 0:25 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
	v1Mount = "28 21 0:25 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n" +
		"29 21 0:26 /pod /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
)

func TestGroupsAreMadeInTheNearestGroupThatTheControllerIsDelegatedTo(t *testing.T) {
	for _, tc := range []struct {
		name, mountinfo, own string
		files                map[string]string
		c                    Controller
		want                 string // "v2, below /sys/fs/cgroup", or what is missing
	}{
		{
			"v2, its own group", v2Mount, "0::/a/b\n", map[string]string{
				"/sys/fs/cgroup/cgroup.controllers": "cpu memory", "/sys/fs/cgroup/a/b/cgroup.subtree_control": "cpu",
				"/sys/fs/cgroup/a/b/cgroup.procs": "",
			}, CPU, "v2, below /sys/fs/cgroup/a/b",
		},
		{
			"v2, the group above", v2Mount, "0::/a/b\n", map[string]string{
				"/sys/fs/cgroup/cgroup.controllers": "cpu memory", "/sys/fs/cgroup/a/b/cgroup.subtree_control": "",
				"/sys/fs/cgroup/a/cgroup.subtree_control": "memory", "/sys/fs/cgroup/a/cgroup.procs": "",
			}, Memory, "v2, below /sys/fs/cgroup/a",
		},
		{
			"v2, nobody has switched it on", v2Mount, "0::/a\n", map[string]string{
				"/sys/fs/cgroup/cgroup.controllers": "cpu memory", "/sys/fs/cgroup/cgroup.subtree_control": "memory",
				"/sys/fs/cgroup/a/cgroup.subtree_control": "",
			}, CPU, "the controller cpu is not enabled for groups below /sys/fs/cgroup: as root, echo +cpu > /sys/fs/cgroup/cgroup.subtree_control",
		},
		{
			"v2, delegated to somebody else", v2Mount, "0::/\n", map[string]string{
				"/sys/fs/cgroup/cgroup.controllers": "cpu memory", "/sys/fs/cgroup/cgroup.subtree_control": "cpu",
			}, CPU, "no group can be made below /sys/fs/cgroup: no such file or directory: become root, or start this with `systemd-run --user --scope`",
		},
		{
			"v1, its own group", v1Mount, "1:cpu,cpuacct:/a\n2:memory:/pod/x\n",
			map[string]string{"/sys/fs/cgroup/cpu/a/cgroup.procs": ""},
			CPU, "v1, below /sys/fs/cgroup/cpu/a",
		},
		{
			"v1, in a container that sees a part of the tree", v1Mount, "1:cpu,cpuacct:/\n2:memory:/pod/x\n",
			map[string]string{"/sys/fs/cgroup/memory/x/cgroup.procs": ""},
			Memory, "v1, below /sys/fs/cgroup/memory/x",
		},
		{
			"v1, outside what is mounted", v1Mount, "1:cpu,cpuacct:/\n2:memory:/elsewhere\n",
			map[string]string{"/sys/fs/cgroup/memory/cgroup.procs": ""},
			Memory, "v1, below /sys/fs/cgroup/memory",
		},
		{
			"v1 for one controller and v2 for another", v1Mount + strings.Replace(v2Mount, "/sys/fs/cgroup", "/sys/fs/cgroup/unified", 1), "0::/\n",
			map[string]string{"/sys/fs/cgroup/unified/cgroup.controllers": "pids", "/sys/fs/cgroup/cpu/cgroup.procs": ""},
			CPU, "v1, below /sys/fs/cgroup/cpu",
		},
		{"nothing mounted", "", "0::/\n", nil, CPU, "no mounted control group has the controller cpu; mount cgroup2, or boot with it enabled"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := fakeMachine(t, tc.mountinfo, tc.own, tc.files)
			place, err := m.find(tc.c)
			got := place.String()
			if err != nil {
				got = err.Error()
			}
			if got = strings.ReplaceAll(got, m.root, ""); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}
