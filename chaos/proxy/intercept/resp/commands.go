package resp

import (
	"bytes"
	_ "embed"
	"fmt"
	"slices"
	"strings"
)

// commandTable has a line for each command: its name, flags (w writes, r reads keys, m may take memory, l is answered while
// loading, b is answered while busy, c manages the connection), and where its first key is: the number of the argument,
// 0 for none, n1 and n2 for after the number of keys in that argument, s for after STREAMS. It is what COMMAND says.
//
//go:embed commands.txt
var commandTable string

// A trait is what is known of a command.
type trait struct {
	flags string
	key   string
}

var traits = func() map[string]trait {
	all := map[string]trait{}
	for line := range strings.Lines(commandTable) {
		f := strings.Fields(line)
		all[strings.ToUpper(f[0])] = trait{flags: f[1], key: f[2]}
	}
	return all
}()

// categories are what rules may say in place of names.
var categories = map[string]func(t trait, known bool) bool{
	"@write":   func(t trait, _ bool) bool { return strings.Contains(t.flags, "w") },
	"@read":    func(t trait, _ bool) bool { return strings.Contains(t.flags, "r") },
	"@denyoom": func(t trait, _ bool) bool { return strings.Contains(t.flags, "m") },
	"@keyed":   func(t trait, known bool) bool { return known && t.key != "0" },
	"@data":    func(t trait, _ bool) bool { return !strings.Contains(t.flags, "c") },
	"@loading": func(t trait, known bool) bool { return known && !strings.Contains(t.flags, "l") },
	"@busy":    func(t trait, known bool) bool { return known && !strings.Contains(t.flags, "b") },
}

// compileCommands makes a test of names out of a rule's list.
func compileCommands(list string) (func(name string) bool, error) {
	if strings.TrimSpace(list) == "" {
		return func(string) bool { return true }, nil
	}
	var tests []func(string) bool
	for item := range strings.SplitSeq(list, ",") {
		item = strings.ToUpper(strings.TrimSpace(item))
		if !strings.HasPrefix(item, "@") {
			tests = append(tests, func(name string) bool { return globOf(item).Match([]byte(name)) })
			continue
		}
		in, ok := categories[strings.ToLower(item)]
		if !ok {
			return nil, fmt.Errorf("there is no category %s of commands; there are %s", strings.ToLower(item), categoryNames())
		}
		tests = append(tests, func(name string) bool { t, known := traits[name]; return in(t, known) })
	}
	return func(name string) bool {
		return slices.ContainsFunc(tests, func(is func(string) bool) bool { return is(name) })
	}, nil
}

func categoryNames() string {
	var names []string
	for name := range categories {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// keyOf finds the first key among the arguments that have come, the name being the first. When more must come first, done
// is false; a command without keys has a nil key.
func keyOf(args [][]byte) (key []byte, done bool) {
	t, known := traits[string(bytes.ToUpper(args[0]))]
	if !known {
		t.key = "1" // commands of modules, most of them
	}
	switch t.key {
	case "0":
		return nil, true
	case "s":
		for i, a := range args[:len(args)-1] {
			if i > 0 && bytes.EqualFold(a, []byte("STREAMS")) {
				return args[i+1], true
			}
		}
		return nil, false
	case "n1", "n2":
		at := int(t.key[1] - '0')
		if len(args) > at && bytes.Equal(args[at], []byte("0")) {
			return nil, true
		}
		return argument(args, at+1)
	}
	return argument(args, int(t.key[0]-'0'))
}

func argument(args [][]byte, at int) (key []byte, done bool) {
	if len(args) <= at {
		return nil, false
	}
	return args[at], true
}

// slot is the hash slot of a key (Redis Cluster specification, "Key distribution model"): CRC16 (XMODEM) of the key, or of
// what stands within its first braces.
func slot(key []byte) int {
	if open := bytes.IndexByte(key, '{'); open >= 0 {
		if n := bytes.IndexByte(key[open+1:], '}'); n > 0 {
			key = key[open+1 : open+1+n]
		}
	}
	var crc uint16
	for _, c := range key {
		crc ^= uint16(c) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return int(crc % 16384)
}
