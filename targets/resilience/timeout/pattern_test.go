package timeout

import (
	"os"
	"testing"

	"shakedown/targets/targettest"
)

var engines targettest.Shared

func TestMain(m *testing.M) { os.Exit(engines.Main(m)) }

func TestPattern(t *testing.T) { targettest.Run(t, Pattern, &engines) }
