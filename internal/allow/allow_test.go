package allow

import (
	"strings"
	"testing"
)

func TestOnlyThisMachineAndNamedHostsAreAllowed(t *testing.T) {
	for _, tc := range []struct {
		hosts, named []string
		refused      string
	}{
		{[]string{"localhost", "127.0.0.1", "127.1.2.3", "::1"}, nil, ""},
		{[]string{"db.example"}, nil, "db.example"},
		{[]string{"db.example"}, []string{"other.example", "db.example"}, ""},
		{[]string{"127.0.0.1", "10.0.0.7"}, []string{"db.example"}, "10.0.0.7"},
		{[]string{"localhost.example"}, nil, "localhost.example"},
		{[]string{"0.0.0.0"}, nil, "0.0.0.0"},
		{nil, nil, ""},
	} {
		err := Hosts("URL", tc.hosts, tc.named)
		if (err != nil) != (tc.refused != "") || err != nil && !strings.Contains(err.Error(), "--allow-target "+tc.refused+" ") {
			t.Errorf("%q with %q named: %v, want %q to be refused", tc.hosts, tc.named, err, tc.refused)
		}
	}
}
