package keyvalue

import "fmt"

// Config is how one variant writes.
type Config struct {
	// Bytes is the size of a stored value.
	Bytes int `json:"bytes"`
}

// least is the size of the longest number and the mark behind it.
const least = 20

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	if c.Bytes < least || c.Bytes > 1<<20 {
		return fmt.Errorf("bytes: must be %d to %d, got %d", least, 1<<20, c.Bytes)
	}
	return nil
}
