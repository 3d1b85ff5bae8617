package mysqlurl

import (
	"strings"
	"testing"
)

func TestAnAddressIsReadAsItIsWritten(t *testing.T) {
	for address, want := range map[string]string{
		"mariadb://u:p%40ss@db.example.com:3307/shop":  "u:p@ss@tcp(db.example.com:3307)/shop db.example.com",
		"mariadb://u:p@[::1]/shop":                     "u:p@tcp([::1]:3306)/shop ::1",
		"mariadb://u:p@/shop?socket=/run/mariadb.sock": "u:p@unix(/run/mariadb.sock)/shop ",
		"mariadb://u@127.0.0.1:3306/shop":              "u@tcp(127.0.0.1:3306)/shop 127.0.0.1",
		"mariadb://127.0.0.1:3306/shop":                "",
		"mariadb://u:s3cret@h":                         "",
		"mariadb://u:s3cret@/shop":                     "",
		"postgres://u:s3cret@h/shop":                   "",
		"mariadb://u:s3cret@h:port/shop":               "",
	} {
		c, err := Parse(address)
		if want == "" {
			if err == nil || !strings.Contains(err.Error(), "should look like") || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%s: %v", address, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", address, err)
			continue
		}
		dsn, _, _ := strings.Cut(c.FormatDSN(), "?")
		if got := dsn + " " + Host(c); got != want {
			t.Errorf("%s is %q, want %q", address, got, want)
		}
	}
}
