package stack

import "context"

// A Pooler is a Kind whose servers can have a pooler of connections before them.
type Pooler interface {
	// FindPooler finds the pooler's program; the error is a *MissingError when it is not installed.
	FindPooler() (Program, error)
	// CheckPooler says which settings of an experiment no pooler can be given.
	CheckPooler(settings map[string]string) error
	// StartPooler starts one before a server, which it finds at via, the address of the link between the two, and returns once it
	// answers. Its clients use its own URL as they would the server's. On an error nothing is left running; it is a *SettingError when
	// the pooler refused one of the settings.
	StartPooler(ctx context.Context, server Instance, via string, o StartOptions) (Instance, error)
}

var _ Pooler = postgres{}

// PoolerName is the name of the pooler before an engine: "postgres-pooler".
func PoolerName(engine string) string { return engine + "-pooler" }
