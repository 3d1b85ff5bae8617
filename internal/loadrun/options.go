package loadrun

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"shakedown/bench/load/wire"
)

// Options are the flags of `shakedown load`.
type Options struct {
	URLs             []string
	Rate, Arrival    string
	Users            int
	Think            time.Duration
	Duration, Warmup time.Duration
	Timeout          time.Duration
	MaxInFlight      int
	Connections      int
	Seed             uint64
	Method           string
	Headers          []string
	Body, BodyFile   string
	Requests         string // a file
	SQL              string
	Args             []string
	Command          string
	SLO              string
	Search           bool
	Loops            int
	Gather           time.Duration
	Backend          string
	HTTP2, Insecure  bool
	CACert           string
	AllowTarget      []string
	Calibrate        bool
	Format           string
	HDR, Report      string                 // files
	Changed          func(flag string) bool // whether the user gave the flag; nil: none
	CommandLine      []string               // as it was typed
}

// Formats are what `shakedown load` can print.
func Formats() []string { return []string{"text", "json", "ndjson"} }

// netHTTP is the back end that is no event loop: the standard library's client.
const netHTTP = "net/http"

// Backends are what --backend takes.
func Backends() []string {
	var names []string
	for _, b := range wire.Backends() {
		names = append(names, string(b))
	}
	return append(names, netHTTP)
}

func (o Options) given(flag string) bool { return o.Changed != nil && o.Changed(flag) }

// check looks at each flag by itself.
func (o Options) check() error {
	switch {
	case !slices.Contains(Formats(), o.Format):
		return fmt.Errorf("-o %s: the formats are %s", o.Format, strings.Join(Formats(), ", "))
	case !slices.Contains(Backends(), o.Backend):
		return fmt.Errorf("--backend %s: there are %s", o.Backend, strings.Join(Backends(), ", "))
	case o.Timeout <= 0 || o.Timeout > maxDuration:
		return fmt.Errorf("--timeout %v: must be positive, and at most %v", o.Timeout, maxDuration)
	case o.MaxInFlight < 0 || o.given("max-in-flight") && o.MaxInFlight == 0:
		return fmt.Errorf("--max-in-flight %d: must be positive", o.MaxInFlight)
	case o.Connections < 0 || o.given("connections") && o.Connections == 0:
		return fmt.Errorf("--connections %d: must be positive", o.Connections)
	case o.Loops < 1 || o.Loops > maxLoops:
		return fmt.Errorf("--loops %d: must be 1 to %d", o.Loops, maxLoops)
	case o.Gather < 0 || o.Gather > wire.MaxGather:
		return fmt.Errorf("--gather %v: must be 0 to %v", o.Gather, wire.MaxGather)
	case o.Body != "" && o.BodyFile != "":
		return errors.New("--body and --body-file exclude each other")
	case o.Search && o.SLO == "":
		return errors.New("--search looks for the highest rate that meets an SLO; say which, such as --slo 'p99<50ms,goodput>99%'")
	case o.Search && (o.given("users") || o.given("think")):
		return errors.New("--search changes the rate, and a closed loop (--users) has none")
	}
	return checkReport(o.Report)
}

const maxLoops = 1024

// belongs are the flags that only some protocols have.
var belongs = map[string][]string{
	"method": {protoHTTP}, "header": {protoHTTP}, "body": {protoHTTP}, "body-file": {protoHTTP}, "loops": {protoHTTP},
	"gather": {protoHTTP}, "backend": {protoHTTP}, "http2": {protoHTTP}, "insecure": {protoHTTP}, "cacert": {protoHTTP}, "sql": {protoPostgres}, "arg": {protoPostgres},
	"command": {protoRedis},
}

// fits looks at flags and target together.
func (o Options) fits(t target) error {
	for _, flag := range slices.Sorted(maps.Keys(belongs)) {
		if o.given(flag) && !slices.Contains(belongs[flag], t.proto) {
			return fmt.Errorf("--%s is for %s, and %s is %s", flag, protocolNames[belongs[flag][0]], t.said, protocolNames[t.proto])
		}
	}
	for _, flag := range []string{"method", "header", "body", "body-file", "sql", "arg", "command"} {
		if o.Requests != "" && o.given(flag) {
			return fmt.Errorf("--requests says what is asked for, and so does --%s; give one of them", flag)
		}
	}
	plain := t.proto == protoHTTP && !t.secure && !t.http2 && !o.HTTP2
	looped := plain && o.Backend != netHTTP
	switch {
	case t.proto == protoPostgres && o.SQL == "" && o.Requests == "":
		return errors.New("say what to ask the database: --sql 'select …', or --requests FILE")
	case t.proto == protoRedis && o.Command == "" && o.Requests == "":
		return errors.New("say what to ask Redis: --command 'GET key', or --requests FILE")
	case t.proto == protoHTTP && !t.secure && (o.Insecure || o.CACert != ""):
		return fmt.Errorf("--insecure and --cacert are for https, and %s is not", t.said)
	case o.Insecure && o.CACert != "":
		return errors.New("--insecure and --cacert exclude each other")
	case t.proto == protoHTTP && !plain && o.Backend != netHTTP && o.Backend != string(wire.Auto):
		return fmt.Errorf("--backend %s speaks plain HTTP/1.1 only; TLS and HTTP/2 are the standard library's", o.Backend)
	case o.given("loops") && !looped:
		return errors.New("--loops is of the event loops, which speak plain HTTP/1.1 only")
	case o.given("gather") && !looped:
		return errors.New("--gather is of the event loops, which speak plain HTTP/1.1 only")
	}
	return nil
}

var protocolNames = map[string]string{protoHTTP: "HTTP", protoPostgres: "PostgreSQL", protoRedis: "Redis"}
