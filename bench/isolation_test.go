package bench

import (
	"maps"
	"strings"
	"testing"
)

func TestIsolationIsAllOrNothing(t *testing.T) {
	retries := map[string]string{"net.ipv4.tcp_retries2": "3"}
	for _, tc := range []struct {
		e    Experiment
		want string // empty: valid
	}{
		{Experiment{}, ""},
		{Experiment{Isolation: Namespaces, Direct: true, Sysctl: retries}, ""},
		{Experiment{Isolation: "containers"}, `"containers" is unknown`},
		{Experiment{Direct: true}, "direct: goes with isolation"},
		{Experiment{Sysctl: retries}, "sysctl: goes with isolation"},
		{Experiment{Levels: []Level{{Name: "short", Sysctl: retries}}}, "sysctl: goes with isolation"},
		{Experiment{Isolation: Namespaces, Sysctl: map[string]string{"vm.swappiness": "0"}}, "not below net"},
		{Experiment{Isolation: Namespaces, Sysctl: map[string]string{"net.../kernel.panic": "1"}}, "not below net"},
	} {
		err := tc.e.validateIsolation()
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%+v: %v, want %q", tc.e, err, tc.want)
		}
	}
}

func TestALevelsSettingsWin(t *testing.T) {
	e := Experiment{Sysctl: map[string]string{"net.a": "1", "net.b": "1"}}
	got := e.SysctlAt(Level{Sysctl: map[string]string{"net.b": "2"}})
	if want := map[string]string{"net.a": "1", "net.b": "2"}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
