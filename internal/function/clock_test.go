package function

import (
	"strings"
	"testing"
)

func TestTheClockGoesOnWhileTheInstanceIsFrozen(t *testing.T) {
	t.Parallel()
	if now := wallClock().String(); strings.Contains(now, "m=") {
		t.Errorf("%s has a monotonic reading, which counts instead of the wall clock's", now)
	}
}
