package main

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

func TestLogsFollowsThroughEveryAttempt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newFake()
		m.now = time.Now
		m.put(newJob("j"))
		s := newShell(m)
		go func() {
			for attempt := 1; attempt <= 2; attempt++ {
				time.Sleep(time.Second)
				m.move("j", func(j *jobs.Job) {
					begin(j, jobs.FargateSpot, m.now())
					j.TaskRunning(m.now())
				})
				for i := range 3 {
					m.write("j", attempt, fmt.Sprintf("attempt %d line %d\n", attempt, i))
					time.Sleep(time.Second)
				}
				m.write("j", attempt, "bye\n")
				m.move("j", func(j *jobs.Job) {
					j.StopAttempt(jobs.AttemptEnd{Cause: jobs.CauseSpotInterruption, StoppedAt: m.now()})
					j.WaitUntil(m.now(), "")
				})
			}
			m.move("j", func(j *jobs.Job) { j.End(jobs.StatusFailed, jobs.CauseSpotInterruption, "", m.now()) })
		}()
		got := s.run(t.Context(), "", "logs", "j", "--follow")
		golden(t, "logs-follow", got.String())
	})
}
