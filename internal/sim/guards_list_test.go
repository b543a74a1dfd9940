package sim_test

// mutant is the system with one guard taken out: one place of its source is changed, and the rest is as it is. The
// simulation must find a seed in which that breaks an invariant; a guard that nothing misses is no guard.
type mutant struct {
	// Guard is what is taken out, in the words of docs/reliability.md.
	Guard string
	Edits []edit
	// With are faults that every world has, for what is too rare in worlds that are drawn at random; see cmd/sim.
	With string
	// Behind takes out what holds as well where the guard does not: by itself nobody misses it.
	Behind []edit
}

// edit replaces a piece of a file that occurs in it exactly once.
type edit struct{ File, Old, New string }

// mutants lists every guard, each with what takes it out.
func mutants() []mutant {
	return []mutant{
		{Guard: "intent before act: the attempt is not saved before RunTask", Edits: []edit{{
			"internal/engine/record.go",
			"err := e.Store.Save(ctx, next)\n",
			"err := error(nil)\n\t\tif planned != actRun {\n\t\t\terr = e.Store.Save(ctx, next)\n\t\t} else {\n\t\t\tnext.Version--\n\t\t}\n",
		}}},
		{Guard: "client token: every call has its own", Edits: []edit{{
			"pkg/spot/launch.go",
			"clientToken(runner, j.JobID, a.Number, a.Launches)",
			"clientToken(runner, j.JobID, a.Number, a.Launches*1000+a.Internal.Calls)",
		}}},
		{Guard: "client token: a new one for each launch", Edits: []edit{{
			"pkg/spot/launch.go",
			"clientToken(runner, j.JobID, a.Number, a.Launches)",
			"clientToken(runner, j.JobID, a.Number, 1)",
		}}},
		{Guard: "client token: repeated after its life is over", Edits: []edit{{
			"pkg/spot/next.go",
			"return now.Sub(a.Internal.LaunchedAt.Time) >= times.TokenLife",
			"return false",
		}}},
		{Guard: "unanswered: after a call without an answer any refusal is believed", Edits: []edit{{
			"pkg/spot/answer.go",
			"case answer.Kind == AnswerRefused && !a.Internal.Unanswered:",
			"case answer.Kind == AnswerRefused:",
		}}},
		{Guard: "unanswered: a caller that died is not remembered", With: "killed=0.1,RunTask denied=0.3,event lost=0.9,user cancels=0", Edits: []edit{{
			"pkg/jobs/state.go",
			"	if j.NextAttemptAt.IsZero() {\n\t\ta.Internal.Unanswered = true\n\t}\n\ta.Internal.CalledAt",
			"	a.Internal.CalledAt",
		}}},
		{Guard: "unanswered: a call without an answer is not remembered", With: "RunTask answer lost=0.5,RunTask throttled=0.6,RunTask denied=0.4,event lost=1,clock wrong=0,user cancels=0.7", Edits: []edit{{
			"pkg/jobs/state.go",
			"a.Internal.Unanswered || unanswered",
			"a.Internal.Unanswered",
		}}},
		{Guard: "settling: ListTasks is believed at once", Edits: []edit{
			{
				"pkg/spot/next.go",
				"		if now.Before(settleAt(a, times)) {\n			return StepNone\n		}\n",
				"",
			},
			{"pkg/spot/answer.go", "	case at.Now.Before(settleAt(a, times)):\n", "	case false:\n"},
		}},
		{Guard: "settling: what ECS may have forgotten is believed never to have been", With: "item sick=0.5,RunTask late=0.5,event lost=0,killed=0,runs on=0", Edits: []edit{{
			"pkg/spot/next.go",
			"case none.Sub(first) >= times.Lost-times.Settling:",
			"case first.IsZero():",
		}}},
		{Guard: "settling: what ECS may have forgotten is told by the latest call alone", Edits: []edit{{
			"pkg/spot/next.go",
			"case none.Sub(first) >= times.Lost-times.Settling:",
			"case none.Sub(called) >= times.Lost-times.Settling && !first.IsZero():",
		}}},
		{Guard: "settling: counted from the first call and not the latest", Edits: []edit{{
			"pkg/spot/next.go",
			"first, called, none := a.Internal.LaunchedAt.Time, a.Internal.CalledAt.Time, ",
			"first, called, none := a.Internal.LaunchedAt.Time, a.Internal.LaunchedAt.Time, ",
		}}},
		{Guard: "cancel settling: a launch without an answer is ended at once", Edits: []edit{{
			"pkg/spot/next.go",
			"case a.Internal.LaunchedAt.IsZero() && end:",
			"case end:",
		}}},
		{Guard: "cancel: a cancelled launch is launched again", Edits: []edit{{
			"pkg/spot/next.go",
			`return !j.CancelRequestedAt.IsZero() || over != ""`,
			`return over != ""`,
		}}},
		{Guard: "cancel: a refusal ends a cancelled job for its own cause", With: "RunTask rejected=0.5,slow=0.4,user cancels=1,RunTask denied=0", Edits: []edit{{
			"pkg/spot/answer.go",
			"if !cancelled && (elsewhere || final) {",
			"if _ = cancelled; elsewhere || final {",
		}}},
		{Guard: "missing: believed at once", Edits: []edit{
			{"pkg/spot/observe.go", "case at.Now.Before(settleAt(a, times)):", "case false:"},
			{"pkg/spot/observe.go", "case a.Internal.NoTaskAt.IsZero():", "case false:"},
		}},
		{Guard: "missing: believed though the end may wait in the queue", Edits: []edit{{
			"pkg/spot/observe.go",
			"case a.Internal.NoTaskAt.IsZero():",
			"case false:",
		}}},
		{Guard: "missing: an hour in which nobody could look counts", With: "item sick=0.5,event lost=1,runs on=0", Edits: []edit{{
			"internal/engine/record.go",
			"spot.AfterOutage(next, e.Times, at.Now)",
			"",
		}}},
		{Guard: "due time: none while a task runs", Edits: []edit{
			{
				"pkg/spot/next.go",
				"if j.Ended() && j.Internal.Unpublished == 0 {\n\t\treturn jobs.Time{}",
				"if a := j.Live(); j.Ended() && j.Internal.Unpublished == 0 || a != nil && a.TaskARN != \"\" {\n\t\treturn jobs.Time{}",
			},
			{"pkg/jobs/check.go", "&& after.Internal.DueAt.IsZero() {", "&& after.Internal.DueAt.IsZero() && false {"},
		}},
		{Guard: "due time: a clock does not bring it forward", Edits: []edit{{
			"pkg/spot/next.go",
			"sooner.After(at.Now) && sooner.Before(due)",
			"false && sooner.Before(due)",
		}}},
		{Guard: "due time: a failed call does not bring it forward", Edits: []edit{{
			"internal/engine/act.go",
			"if j.Internal.DueAt.IsZero() || soon.Before",
			"if false && soon.Before",
		}}},
		{Guard: "sweep: there is none", Edits: []edit{{
			"internal/engine/sweep.go",
			"	for first := true; ctx.Err() == nil; first = false {",
			"	for first := true; first && ctx.Err() != nil; first = false {",
		}}},
		{Guard: "sweep: it ends at a job that fails", Edits: []edit{{
			"internal/engine/sweep.go",
			"			errs[i] = work(i)\n		}\n		return errorsOf(errs)",
			"			if errs[i] = work(i); errs[i] != nil {\n				break\n			}\n		}\n		return errorsOf(errs)",
		}}},
		{Guard: "thirty minutes: counted from the launch and not from the call that made the task", Edits: []edit{{
			"pkg/spot/next.go",
			"clock{a.Internal.CalledAt.Time.Add(times.StartLimit), jobs.StopNotRunning}",
			"clock{a.Internal.LaunchedAt.Time.Add(times.StartLimit), jobs.StopNotRunning}",
		}}},
		{Guard: "look before deciding: a due task is not described", Edits: []edit{{
			"internal/engine/sweep.go",
			"		if hasTask(j) {\n",
			"		if hasTask(j) && spot.Next(j, now, e.Times) == spot.StepDescribe {\n",
		}}},
		{Guard: "look before deciding: a clock is decided by an event or an answer", Edits: []edit{
			{
				"internal/engine/record.go",
				"return may.call && spot.ClockOver(j, may.lookedAt, e.Times) != \"\"",
				"return true",
			},
			{
				"internal/engine/record.go",
				"j.DecideStop(spot.ClockOver(j, may.lookedAt, e.Times))",
				"j.DecideStop(spot.ClockOver(j, at.Now, e.Times))",
			},
		}},
		{Guard: "look before deciding: a look from before the clock's time decides", With: "never runs=0.9,slow=0.5,killed=0,user cancels=0", Edits: []edit{{
			"pkg/spot/observe.go",
			"lookedAt = asked\n",
			"lookedAt = at.Now\n",
		}}},
		{Guard: "look before deciding: who could not look decides that a task did not start", Edits: []edit{
			{
				"internal/engine/sweep.go",
				"!e.actsBlind(j) && j.Internal.Unpublished == 0",
				"spot.Next(j, e.Now(), e.Times) == spot.StepDescribe",
			},
			{"internal/engine/sweep.go", "case inVain && e.actsBlind(j):", "case inVain && true:"},
		}},
		{Guard: "on its way down: a clock stops a task that is stopping already", Edits: []edit{{
			"pkg/spot/observe.go",
			"if live && t.DesiredStatus == taskStopped",
			"if false && t.DesiredStatus == taskStopped && live",
		}}},
		{Guard: "stop cause: it counts though the task ended by itself", Edits: []edit{{
			"pkg/spot/cause.go",
			"return !t.retired() && (t.StopCode == \"\" || t.StopCode == stopUserInitiated) || t.interrupted()",
			"return true",
		}}},
		{Guard: "stop cause: a stop for not having started outlives the news of a start", With: "DescribeTasks lags=0.5,event late=0.5,killed=0,never runs=0", Edits: []edit{{
			"pkg/spot/cause.go",
			"		return !started.IsZero() && started.Before(j.Internal.ReadyAt",
			"		return false && started.Before(j.Internal.ReadyAt",
		}}},
		{Guard: "settling: one look at ListTasks is believed", With: "RunTask answer lost=1,event lost=1,DescribeTasks lags=0.5,user cancels=0.9,clock wrong=0,runs on=0,never runs=0,start fails=0.5", Edits: []edit{{
			"pkg/spot/answer.go",
			"	case a.Internal.NoTaskAt.IsZero():\n",
			"	case false:\n",
		}}},
		{Guard: "failed calls: they are made again at the same pace for ever", Edits: []edit{{
			"internal/engine/act.go",
			"jobs.Backoff(e.Times.CallRetry, 2+failures, at.Roll)",
			"jobs.Backoff(e.Times.CallRetry, 3, at.Roll)",
		}}},
		{Guard: "version: the last writer wins", Edits: []edit{{
			"internal/sim/table.go",
			"if stored.Version != job.Version-1 {",
			"if false {",
		}}},
		{Guard: "write id: one's own save counts as somebody else's", Edits: []edit{{
			"internal/engine/record.go",
			"if j.Internal.WriteID == writeID {",
			"if false {",
		}}},
		{Guard: "at work: a duplicate acts though somebody else does", Edits: []edit{
			{
				"internal/engine/record.go",
				"return e.due(j, now) || now.Sub(j.Internal.SavedAt.Time) > e.Times.FunctionTimeout",
				"return true",
			},
			{
				"internal/engine/record.go",
				"return j.NextAttemptAt.IsZero() && now.Sub(j.Live().Internal.CalledAt.Time) <= e.Times.FunctionTimeout",
				"return false",
			},
		}},
		{
			Guard: "task version: an older state is taken",
			Edits: []edit{{"pkg/spot/observe.go", "case t.Version < a.Internal.TaskVersion:", "case false:"}},
			// Attempts only move forward, so that an older state says nothing new.
			Behind: []edit{{
				"pkg/spot/observe.go",
				"	case t.LastStatus == taskRunning && (a.Status == jobs.AttemptLaunching || a.Status == jobs.AttemptStarting):\n\t\tnoteRunning(j, a, t)\n",
				"	case t.LastStatus == taskRunning && t.live() && a.Status != jobs.AttemptRunning:\n\t\tj.TaskRunning(t.StartedAt)\n",
			}},
		},
		{Guard: "older attempts: their tasks move the job", Edits: []edit{{
			"pkg/spot/observe.go",
			"if a == nil || attempt < a.Number {",
			"if a == nil {",
		}}},
		{Guard: "late answers: RunTask's answer to an older launch counts", Edits: []edit{
			{
				"pkg/spot/answer.go",
				"case a == nil || call.Attempt != a.Number || call.Launch != a.Launches || a.TaskARN != \"\" || a.Internal.LaunchedAt.IsZero():",
				"case a == nil:",
			},
			{"pkg/spot/answer.go", "case call != CurrentCall(j):", "case false:"},
		}},
		{Guard: "late answers: RunTask's answer stands for a later call too", With: "store echo=0.5,RunTask throttled=0.5,slow=0.3", Edits: []edit{{
			"pkg/spot/answer.go",
			"case call != CurrentCall(j):",
			"case false:",
		}}},
		{Guard: "stray tasks: they run on", Edits: []edit{{
			"internal/engine/act.go",
			"	var failed error\n\tfor _, arn := range arns {",
			"	var failed error\n\tfor _, arn := range arns[:0] {",
		}}},
		{Guard: "stop cause: it is not saved before StopTask", Edits: []edit{{
			"internal/engine/record.go",
			"j.DecideStop(spot.ClockOver(j, may.lookedAt, e.Times))",
			"return actStop",
		}}},
		{Guard: "publication: not repeated", Edits: []edit{{
			"internal/engine/act.go",
			"		e.callFailed(ctx, j, err)\n\t\treturn false\n",
			"		e.callFailed(ctx, j, err)\n\t\treturn true\n",
		}}},
		{Guard: "retention: what has ended expires before it is published", Edits: []edit{{
			"internal/engine/record.go",
			"if next.Ended() && next.Internal.Unpublished == 0 && next.Internal.ExpiresAt.IsZero() {",
			"if next.Ended() && next.Internal.ExpiresAt.IsZero() {",
		}}},
		{Guard: "publication: unpublished is a flag", With: "interrupted=0.9,slow=0.2,user cancels=0.5,PutEvents fails=0.2", Edits: []edit{{
			"internal/engine/act.go",
			"if published && j.Internal.Unpublished == r.job.Internal.Unpublished && j.Internal.Unpublished != 0 {",
			"if published && j.Internal.Unpublished != 0 {",
		}}},
		{Guard: "final end: a cancel moves a job that has ended", Edits: []edit{
			{
				"internal/engine/submit.go",
				"			return spot.Seen{Ignored: \"the job has ended\"}\n",
				"			j.Status, j.Cause = jobs.StatusCancelled, jobs.CauseCancelled\n\t\t\treturn spot.Seen{Changed: true}\n",
			},
			{"pkg/jobs/check.go", "	if before != nil {\n", "	if false {\n"},
		}},
		{Guard: "ends: a task that is shown as DELETED has not stopped", Edits: []edit{{
			"pkg/spot/task.go",
			"return t.LastStatus == taskStopped || t.LastStatus == taskDeleted",
			"return t.LastStatus == taskStopped",
		}}},
		{Guard: "retry at STOPPED: the next attempt follows the notice", Edits: []edit{{
			"pkg/spot/observe.go",
			"	case t.Stopped():\n\t\tstopped(",
			"	case t.Stopped(), t.interrupted():\n\t\tstopped(",
		}}},
		{Guard: "adoption: a second task of an attempt takes the first one's place", Edits: []edit{
			{"pkg/spot/observe.go", `case a.TaskARN != "" && a.TaskARN != t.ARN:`, "case false:"},
		}},
		{Guard: "adoption: a conflict that names the task is a refusal", With: "RunTask conflict=1,RunTask answer lost=0.5,event lost=1", Edits: []edit{{
			"pkg/spot/answer.go",
			"if len(arns) > 0 {",
			"if false {",
		}}},
		{Guard: "firm refusals: failures[] after a call without an answer are not believed", Edits: []edit{{
			"pkg/spot/answer.go",
			"case firm: ",
			"case firm && false: ",
		}}},
		{Guard: "failed calls: who has failed begins another call", With: "never runs=0.9,slow=0.2,killed=0,StopTask answer lost=1,clock wrong=0,user cancels=0,message twice=0.5", Edits: []edit{{
			"internal/engine/act.go",
			"may.call = round < roundsMax-1 && !failed",
			"may.call = round < roundsMax-1",
		}}},
		{Guard: "patience: a job ends at its first refusal", Edits: []edit{{
			"pkg/spot/next.go",
			"case a.Internal.LaunchedAt.IsZero() && end:",
			"case a.Internal.LaunchedAt.IsZero():",
		}}},
		{Guard: "retries: a time-out is retried though no rule says so", Edits: []edit{{
			"pkg/spot/observe.go",
			"if cause == jobs.CauseTimedOut {",
			"if false {",
		}}},
		{Guard: "retries: a time-out uses up none", Edits: []edit{{
			"pkg/jobs/cause.go",
			" || c == CauseTimedOut",
			"",
		}}},
		{Guard: "start clock: a task that never ran sets it back", Edits: []edit{{
			"pkg/jobs/state.go",
			"if last := j.Last(); last == nil || last.Ran() {",
			"if true {",
		}}},
		{Guard: "failed calls: they are forgotten until the job is due", Edits: []edit{{
			"internal/engine/act.go",
			"&j.Internal.CallsFailed, failed, at)",
			"&j.Internal.CallsFailed, false, at)",
		}}},
		{Guard: "stopping: a cancel waits until the job is due", Edits: []edit{{
			"internal/engine/record.go",
			"if step == spot.StepCallAgain && e.calling(j, at.Now) ||",
			"if j.NextAttemptAt.IsZero() && !e.stale(j, at.Now) ||",
		}}},
		{Guard: "publication: it waits until the job is due", Edits: []edit{{
			"internal/engine/act.go",
			"if failed || !after.seen.Changed || !published && r.act == actNone {",
			"if failed || !after.seen.Changed || r.act == actNone {",
		}}},
		{Guard: "final end: a cancel changes the reason of a job that has ended", Edits: []edit{{
			"internal/engine/submit.go",
			"if j.Ended() {",
			"if false {",
		}}},
		{Guard: "acceptance: a retry that is delivered again is another job", Edits: []edit{{
			"internal/engine/submit.go",
			"	if newID == \"\" {\n",
			"	if true {\n",
		}}},
		{Guard: "acceptance: the same id with the same request is another job", Edits: []edit{{
			"internal/engine/submit.go",
			"	if stored.Internal.WriteID != j.Internal.WriteID {\n\t\treturn e.resubmitted(ctx, stored, acceptance.Fingerprint)\n\t}\n",
			"",
		}}},
	}
}
