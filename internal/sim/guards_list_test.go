package sim_test

// mutant is the system with one guard taken out: one place of its source is changed, and the rest is as it is. The
// simulation must find a seed in which that breaks an invariant; a guard that nothing misses is no guard.
type mutant struct {
	// Guard is what is taken out, in the words of docs/architecture.md.
	Guard string
	Edits []edit
	// Backed says why nothing breaks: another guard behind this one holds. "" = some seed must fail.
	Backed string
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
			"case end || now.Sub(a.Internal.LaunchedAt.Time) >= times.TokenLife:",
			"case end:",
		}}},
		{Guard: "unanswered: after a call without an answer any refusal is believed", Edits: []edit{{
			"pkg/spot/answer.go",
			"answer.Kind == AnswerRefused && a.Internal.Unanswered && !answer.Firm",
			"false",
		}}},
		{Guard: "unanswered: a caller that died is not remembered", Edits: []edit{{
			"pkg/jobs/state.go",
			"	if j.NextAttemptAt.IsZero() {\n\t\ta.Internal.Unanswered = true\n\t}\n\ta.Internal.CalledAt",
			"	a.Internal.CalledAt",
		}}},
		{Guard: "settling: ListTasks is believed at once", Edits: []edit{{
			"pkg/spot/next.go",
			"		if now.Before(settleAt(a, times)) {\n\t\t\treturn StepNone\n\t\t}\n",
			"",
		}}},
		{Guard: "settling: counted from the first call and not the latest", Edits: []edit{{
			"pkg/spot/next.go",
			"return a.Internal.CalledAt.Time.Add(times.FunctionTimeout + times.Settling)",
			"return a.Internal.LaunchedAt.Time.Add(times.FunctionTimeout + times.Settling)",
		}}},
		{Guard: "cancel settling: a launch without an answer is ended at once", Edits: []edit{{
			"pkg/spot/next.go",
			"case a.Internal.LaunchedAt.IsZero() && end:",
			"case end:",
		}}},
		{Guard: "cancel: a cancelled launch is launched again", Edits: []edit{{
			"pkg/spot/next.go",
			`end := over != "" || !j.CancelRequestedAt.IsZero()`,
			`end := over != ""`,
		}}},
		{Guard: "missing: believed at once", Edits: []edit{{
			"pkg/spot/observe.go",
			"case at.Now.Before(settleAt(a, times)):",
			"case false:",
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
		{Guard: "at work: a duplicate acts though somebody else does", Edits: []edit{{
			"internal/engine/record.go",
			"return e.due(j, now) || now.Sub(j.Internal.SavedAt.Time) > e.Times.FunctionTimeout",
			"return true",
		}}},
		{Guard: "task version: an older state is taken", Backed: "the state machine only moves forward, so an older state says nothing new", Edits: []edit{{
			"pkg/spot/observe.go",
			"case t.Version < a.Internal.TaskVersion:",
			"case false:",
		}}},
		{Guard: "older attempts: their tasks move the job", Edits: []edit{{
			"pkg/spot/observe.go",
			"if a == nil || attempt < a.Number {",
			"if a == nil {",
		}}},
		{Guard: "late answers: RunTask's answer to an older launch counts", Edits: []edit{{
			"pkg/spot/answer.go",
			"if !current || a.TaskARN != \"\" || a.Internal.LaunchedAt.IsZero() {",
			"if a == nil || current && false {",
		}}},
		{Guard: "stray tasks: they run on", Edits: []edit{{
			"internal/engine/act.go",
			"	var failed error\n\tfor _, arn := range arns {",
			"	var failed error\n\tfor _, arn := range arns[:0] {",
		}}},
		{Guard: "stop cause: it is not saved before StopTask", Edits: []edit{{
			"internal/engine/record.go",
			"j.DecideStop(spot.ClockOver(j, at.Now, e.Times))",
			"return actStop",
		}}},
		{Guard: "publication: not repeated", Edits: []edit{{
			"internal/engine/act.go",
			"		e.callFailed(ctx, j, err)\n\t\treturn false\n",
			"		e.callFailed(ctx, j, err)\n\t\treturn true\n",
		}}},
		{Guard: "publication: unpublished is a flag", Edits: []edit{{
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
		{Guard: "retry at STOPPED: the next attempt follows the notice", Edits: []edit{{
			"pkg/spot/observe.go",
			"	case t.Stopped():\n\t\tstopped(",
			"	case t.Stopped(), t.interrupted():\n\t\tstopped(",
		}}},
		{Guard: "adoption: a second task of an attempt takes the first one's place", Edits: []edit{
			{"pkg/spot/observe.go", `case a.TaskARN != "" && a.TaskARN != t.ARN:`, "case false:"},
		}},
		{Guard: "firm refusals: failures[] after a call without an answer are not believed", Edits: []edit{{
			"pkg/spot/answer.go",
			"answer.Kind == AnswerRefused && a.Internal.Unanswered && !answer.Firm",
			"answer.Kind == AnswerRefused && a.Internal.Unanswered",
		}}},
		{Guard: "acceptance: the same id with the same request is another job", Edits: []edit{{
			"internal/engine/submit.go",
			"		if stored.Internal.WriteID != writeID {\n\t\t\treturn e.resubmitted(ctx, stored, acceptance.Fingerprint)\n\t\t}\n",
			"",
		}}},
	}
}
