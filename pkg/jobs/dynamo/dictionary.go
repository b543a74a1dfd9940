package dynamo

// dictionary is text that jobs' documents are likely to hold, the likeliest last, for it is the cheapest to point at. It
// stands before each document when that is deflated, so that only what is a job's own takes space.
//
// It is part of formatDeflate: never change a byte of it. A better one is a new format beside this one.
const dictionary = `"cause":"REQUEST_REJECTED","cause":"LAUNCH_REJECTED","cause":"START_FAILED","cause":"DEPLOYMENT_FAULT"` +
	`,"refusedCause":"SUBNET_FULL","refusedReason":"RESOURCE:ENI"` +
	`,"refusedCause":"QUOTA","refusedReason":"You've reached the limit on the number of vCPUs you can run concurrently"` +
	`,"refusedCause":"NO_CAPACITY","refusedReason":"Capacity is unavailable at this time. Please try again later or in a different availability zone"` +
	`The task did not run in time after its launch.Job attempt duration exceeded timeout` +
	`The job did not start within timeout.startWithinSeconds.The job took longer than timeout.totalSeconds.` +
	`Waiting for its turn: launches are kept under the rate that the account may start.` +
	`Cancel requested; waiting until no task of the job exists.Cancelled on request.` +
	`Timeout waiting for network interface provisioning to complete.CannotPullContainerError: ResourceInitializationError: ` +
	`OutOfMemoryError: Container killed due to memory usageTask failed to startThe task is lost: ECS does not know it.` +
	` waits to be launched: No capacity on FARGATE_SPOT; the next attempt runs on FARGATE.` +
	` ended as SPOT_INTERRUPTION; launching attempt  is being stopped: all Spot attempts are used up.` +
	`,"schedule":{"arn":"arn:aws:scheduler:ap-southeast-1:schedule/default/nightly","scheduledTime":"20` +
	`,"evaluateOnExit":[{"onExitCode":"137","action":"RETRY"},{"onReason":"OutOfMemoryError*","onStatusReason":"*","action":"EXIT"}]` +
	`"strategy":"SPOT","spotAttempts":10,"exitZeroOnInterruption":"SUCCEED"},"strategy":"ON_DEMAND"` +
	`["/bin/sh","-c","["bash","-lc","["python3","-m","main.py","java","-jar","/app/node","--input=s3://--output","--date","` +
	`"environment":[{"name":"AWS_REGION","value":"http://localhost:https://{"name":"DATABASE_URL","value":"postgres://` +
	`{"name":"LOG_LEVEL","value":"info"},{"name":"BUCKET","value":"s3://{"name":"OUTPUT_BUCKET","value":"{"name":"INPUT","value":"` +
	`debug"},{"name":"ENVIRONMENT","value":"production"},{"name":"STAGE","value":"prod"},{"name":"` +
	`"cpu":"256","memory":"512"},"cpu":"512","memory":"1024"},"cpu":"1024","memory":"2048"},"cpu":"2048","memory":"4096"},` +
	`"cpu":"4096","memory":"8192"},"cpu":"8192","memory":"16384"},"ephemeralStorageGiB":100,` +
	`arn:aws:ecs:ap-northeast-1:arn:aws:ecs:eu-central-1:arn:aws:ecs:eu-west-1:arn:aws:ecs:us-west-2:arn:aws:ecs:us-east-2:` +
	`EXIT_NONZERO","OUT_OF_MEMORY","PLATFORM_FAILURE","TIMED_OUT","CANCELLED","FAILED","exitCode":137,"exitCode":1,"repeats":1,` +
	`"statusReason":"Accepted; waiting to be launched.","nextAttemptAt":"20","cancelRequestedAt":"20","retryOf":"` +
	`,"unanswered":true,"stopCause":"ATTEMPT_CLOCK","unpublished":,"cancelReason":"` +
	`{"jobId":"","jobName":"","status":"RUNNABLE","statusReason":"Launching attempt 2 on FARGATE.","request":{"jobName":"` +
	`{"jobId":"","jobName":"","status":"STARTING","statusReason":"Attempt 1 starts on FARGATE_SPOT.","request":{"jobName":"` +
	`{"jobId":"","jobName":"","status":"RUNNABLE","statusReason":"Spot took attempt 1 away; the next runs on FARGATE.",` +
	`{"jobId":"","jobName":"","status":"RUNNING","statusReason":"Spot takes attempt 1 away; its container may still finish.",` +
	`{"jobId":"","jobName":"","status":"FAILED","cause":"EXIT_NONZERO","statusReason":"Attempt 1 exited 1 on FARGATE_SPOT.",` +
	`{"jobId":"","jobName":"","status":"RUNNING","statusReason":"Attempt 1 runs on FARGATE_SPOT.","request":{"jobName":"` +
	`{"jobId":"","jobName":"","status":"SUCCEEDED","cause":"SUCCEEDED","statusReason":"Attempt 2 exited 0 on FARGATE.","request":{"jobName":"` +
	`{"jobId":"","jobName":"","status":"SUCCEEDED","cause":"SUCCEEDED","statusReason":"Attempt 1 exited 0 on FARGATE_SPOT.",` +
	`"request":{"jobName":"","jobId":"","taskDefinition":"arn:aws:ecs:us-east-1:0123456789:task-definition/:1",` +
	`"containerOverrides":{"name":"main","command":["","--"],"environment":[{"name":"","value":""},{"name":"","value":""}],` +
	`"cpu":"1024","memory":"2048"},"capacity":{"strategy":"SPOT_THEN_ON_DEMAND","spotAttempts":2,` +
	`"capacity":{"strategy":"SPOT_THEN_ON_DEMAND","spotAttempts":1,"exitZeroOnInterruption":"RETRY"},` +
	`"retryStrategy":{"attempts":3,"backoffSeconds":10},"timeout":{"attemptDurationSeconds":3600,` +
	`"retryStrategy":{"attempts":1,"backoffSeconds":10},"timeout":{"attemptDurationSeconds":86400,` +
	`"startWithinSeconds":86400,"totalSeconds":1209600},"tags":{"environment":"production","cost-center":"","project":"","team":"` +
	`"startWithinSeconds":86400,"totalSeconds":1209600}},` +
	`"attempts":[{"attempt":1,"capacityProvider":"FARGATE_SPOT","status":"LAUNCHING","launches":1,"logGroup":"/ecs/","createdAt":"20` +
	`"attempts":[{"attempt":1,"capacityProvider":"FARGATE_SPOT","status":"RUNNING","taskArn":"arn:aws:ecs:us-east-1:","status":"STARTING",` +
	`"attempts":[{"attempt":1,"capacityProvider":"FARGATE_SPOT","status":"STOPPED","cause":"SPOT_INTERRUPTION",` +
	`"reason":"Your Spot Task was interrupted.","taskArn":"arn:aws:ecs:us-east-1:","exitCode":143,"launches":1,"logGroup":"/` +
	`"logStream":"ecs/main/","createdAt":"20"startedAt":"20"interruptedAt":"20"stoppedAt":"20"internal":{"launchedAt":"20` +
	`,"calls":1,"taskVersion":6}},{"attempt":2,"capacityProvider":"FARGATE","status":"STOPPED","cause":"SUCCEEDED",` +
	`"attempts":[{"attempt":1,"capacityProvider":"FARGATE_SPOT","status":"STOPPED","cause":"SUCCEEDED",` +
	`"reason":"Essential container in task exited","taskArn":"arn:aws:ecs:us-east-1::task/","exitCode":0,"launches":1,"logGroup":"/ecs/` +
	`","logStream":"ecs/","createdAt":"2026-","startedAt":"2026-","stoppedAt":"2026-","internal":{"launchedAt":"2026-` +
	`Z","calledAt":"20` + `Z","calls":1,"taskVersion":4}},{"attempt":` + `Z","calls":1,"taskVersion":5}}],"createdAt":"20` +
	`Z","startedAt":"20` + `Z","stoppedAt":"20` + `Z","version":4,"internal":{"fingerprint":"` +
	`","writeId":"` + `","savedAt":"20` + `Z","dueAt":"20` + `Z","unpublished":4,"readyAt":"20` + `Z","readyAt":"20` +
	`","container":"main","logGroup":"/ecs/","logStreamPrefix":"ecs","expiresAt":"20`
