package main

import (
	"fmt"
	"io"
	"strings"
	"sync"

	"golang.org/x/term"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// window tells the size of the terminal that a stream is.
func window(stream any) (width, height int, ok bool) {
	f, isFile := stream.(interface{ Fd() uintptr })
	if !isFile || !term.IsTerminal(int(f.Fd())) {
		return 0, 0, false
	}
	width, height, err := term.GetSize(int(f.Fd()))
	if err != nil || width <= 0 || height <= 0 {
		return 80, 24, true
	}
	return width, height, true
}

// display is what a stream can show.
type display struct {
	width, height int  // 0: as much as one likes
	live          bool // it can be repainted
	colour        bool
}

// displayOf looks at a stream. Colour and repainting are for terminals alone, and for those that can.
// https://no-color.org
func (c *cli) displayOf(stream io.Writer) display {
	width, height, terminal := c.window(stream)
	if !terminal {
		return display{}
	}
	able := c.getenv("TERM") != "dumb"
	return display{width, height, able, able && c.getenv("NO_COLOR") == ""}
}

// The colours, as SGR parameters.
const (
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
)

// paint colours a text where the display has colours.
func (d display) paint(sgr, text string) string {
	if !d.colour || sgr == "" || text == "" {
		return text
	}
	return "\x1b[" + sgr + "m" + text + "\x1b[0m"
}

// statusColour is the colour of a job's status.
func statusColour(s jobs.Status) string {
	switch s {
	case jobs.StatusSucceeded:
		return green
	case jobs.StatusFailed:
		return red
	case jobs.StatusCancelled:
		return yellow
	case jobs.StatusRunning:
		return cyan
	case jobs.StatusRunnable, jobs.StatusStarting:
	}
	return ""
}

// screen is a stream to which lines are printed while a view is repainted below them, if it is a live display.
type screen struct {
	mu    sync.Mutex
	c     *cli
	w     io.Writer
	view  func(display) []string // nil: none
	lines int                    // of the view as painted last
}

func (c *cli) screen(w io.Writer) *screen { return &screen{c: c, w: w} }

// print writes lines that stay, above the view.
func (s *screen) print(lines ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.repaint(lines)
}

// setView replaces the view; nil takes it away.
func (s *screen) setView(view func(display) []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.view = view
	s.repaint(nil)
}

// repaint writes everything at once, line over line, so that nothing flickers and nothing is pushed into the terminal's
// history.
func (s *screen) repaint(lines []string) {
	d := s.c.displayOf(s.w)
	wipe := ""
	var b strings.Builder
	if s.lines > 0 {
		wipe = "\x1b[K"
		fmt.Fprintf(&b, "\r\x1b[K\x1b[%dA", s.lines) // a Ctrl-C has left ^C at the cursor
	}
	var view []string
	if s.view != nil && d.live {
		view = s.view(d)
		view = view[:min(len(view), max(d.height-1, 1))]
	}
	for _, text := range [][]string{lines, view} {
		for _, line := range text {
			b.WriteString(strings.ReplaceAll(line, "\n", wipe+"\n") + wipe + "\n")
		}
	}
	if left := s.lines - len(lines) - len(view); left > 0 { // of the view before
		b.WriteString(strings.Repeat(wipe+"\n", left))
		fmt.Fprintf(&b, "\x1b[%dA", left)
	}
	s.lines = len(view)
	if b.Len() > 0 {
		_, _ = io.WriteString(s.w, b.String()) // a terminal that is gone misses nothing
	}
}
