package timeout

import (
	"testing"

	"shakedown/targets/targettest"
)

func TestPattern(t *testing.T) { targettest.Run(t, Pattern, nil) }
