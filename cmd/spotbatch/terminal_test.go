package main

import "testing"

func TestColourAndViewsAreForTerminalsThatCan(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		terminal bool
		env      map[string]string
		want     display
	}{
		"a pipe":                  {false, nil, display{}},
		"a terminal":              {true, nil, display{80, 24, true, true}},
		"NO_COLOR":                {true, map[string]string{"NO_COLOR": "1"}, display{80, 24, true, false}},
		"a terminal that is dumb": {true, map[string]string{"TERM": "dumb"}, display{80, 24, false, false}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShell(newFake())
			s.cli.window = func(any) (int, int, bool) { return 80, 24, c.terminal }
			s.cli.getenv = func(name string) string { return c.env[name] }
			if got := s.cli.displayOf(s.cli.stdout); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}
