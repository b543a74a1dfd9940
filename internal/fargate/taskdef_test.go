package fargate

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/google/go-cmp/cmp"
)

const goodDefinition = `{
	"family": "job", "requiresCompatibilities": ["FARGATE"], "networkMode": "awsvpc", "cpu": ".25 vCPU", "memory": "0.5 GB",
	"executionRoleArn": "arn:aws:iam::123456789012:role/exec",
	"runtimePlatform": {"cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX"},
	"containerDefinitions": [{
		"name": "main", "image": "alpine", "entryPoint": ["sh", "-c"], "command": ["true"], "stopTimeout": 120,
		"environment": [{"name": "A", "value": "1"}], "linuxParameters": {"initProcessEnabled": true},
		"logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "jobs", "awslogs-region": "eu-west-1"}}
	}]
}`

func writeFile(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoadTaskDefinitions(t *testing.T) {
	t.Parallel()
	load := func(t *testing.T, w *world, paths ...string) []string {
		t.Helper()
		loaded, err := w.LoadTaskDefinitions(t.Context(), paths...)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, l := range loaded {
			text := filepath.Base(l.File) + " is " + lastPart(l.ARN)
			if l.Registered {
				text += ", new"
			}
			all = append(all, text)
		}
		return all
	}

	t.Run("registers a new revision only where the content has changed", func(t *testing.T) {
		t.Parallel()
		w, dir := setup(t, Options{}, nil), t.TempDir()
		writeFile(t, dir, "job.json", goodDefinition)
		writeFile(t, dir, "notes.txt", "not JSON")
		got := load(t, w, dir)
		got = append(got, load(t, w, dir)...)
		// The same, in other words.
		writeFile(t, dir, "job.json", strings.NewReplacer(`".25 vCPU"`, `"256"`, `"0.5 GB"`, `"512"`, `"image"`, `"essential": true, "image"`).Replace(goodDefinition))
		got = append(got, load(t, w, filepath.Join(dir, "job.json"))...)
		writeFile(t, dir, "job.json", "\ufeff"+strings.ReplaceAll(goodDefinition, "alpine", "busybox"))
		got = append(got, load(t, w, dir)...)
		want := []string{"job.json is job:1, new", "job.json is job:1", "job.json is job:1", "job.json is job:2, new"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})

	t.Run("takes what describe-task-definition prints", func(t *testing.T) {
		t.Parallel()
		w, dir := setup(t, Options{}, nil), t.TempDir()
		described := strings.Replace(goodDefinition, "{", `{"taskDefinitionArn": "arn", "revision": 7, "status": "ACTIVE", "registeredAt": "2026-01-15T10:00:00Z",
			"requiresAttributes": [{"name": "x"}], "compatibilities": ["EC2", "FARGATE"], "registeredBy": "me",`, 1)
		got := load(t, w, writeFile(t, dir, "a.json", `{"taskDefinition": `+described+`, "tags": [{"key": "a", "value": "b"}]}`))
		if diff := cmp.Diff([]string{"a.json is job:1, new"}, got); diff != "" {
			t.Error(diff)
		}
		out, err := w.DescribeTaskDefinition(t.Context(), &ecs.DescribeTaskDefinitionInput{
			TaskDefinition: new("job"), Include: []types.TaskDefinitionField{types.TaskDefinitionFieldTags},
		})
		if err != nil {
			t.Fatal(err)
		}
		if out.TaskDefinition.Revision != 1 || *out.TaskDefinition.Cpu != "256" || *out.Tags[0].Key != "a" ||
			out.TaskDefinition.RuntimePlatform.CpuArchitecture != "ARM64" {
			t.Errorf("it is %s", encodeShape(out.TaskDefinition))
		}
	})

	t.Run("refuses a folder without one", func(t *testing.T) {
		t.Parallel()
		w, dir := setup(t, Options{}, nil), t.TempDir()
		writeFile(t, dir, "notes.txt", "not JSON")
		_, err := w.LoadTaskDefinitions(t.Context(), dir)
		if diff := cmp.Diff("load task definitions: "+dir+" holds no file whose name ends with .json", errorText(err)); diff != "" {
			t.Error(diff)
		}
	})

	t.Run("names the file and everything that is wrong with it, and registers nothing", func(t *testing.T) {
		t.Parallel()
		w, dir := setup(t, Options{}, nil), t.TempDir()
		good := writeFile(t, dir, "good.json", goodDefinition)
		second := writeFile(t, dir, "second.json", goodDefinition)
		unknown := writeFile(t, dir, "unknown.json", `{"famly": "job", "containerDefinitions": [{"name": "a", "comand": []}], "volumes": []}`)
		broken := writeFile(t, dir, "broken.json", `{"family": `)
		bad := writeFile(t, dir, "wrong.json", `{
			"family": "my job", "cpu": "256", "memory": "4096", "runtimePlatform": {"cpuArchitecture": "MIPS", "operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"},
			"ephemeralStorage": {"sizeInGiB": 20}, "volumes": [{"name": "v", "host": {"sourcePath": "/"}}],
			"containerDefinitions": [
				{"name": "a", "image": "x", "essential": false, "stopTimeout": 121, "privileged": true},
				{"name": "a", "essential": false, "memory": 4, "portMappings": [{"containerPort": 80, "hostPort": 81}]}
			]}`)
		_, err := w.LoadTaskDefinitions(t.Context(), dir)
		if err == nil {
			t.Fatal("there is no error")
		}
		want := []string{
			broken + ": is not complete JSON: the file ends in the middle of it",
			second + ": family: job is in " + good + ", too",
			unknown + ": unknown keys containerDefinitions[0].comand, famly",
			bad + ": family: 1-255 letters, digits, hyphens and underscores are needed",
			bad + ": requiresCompatibilities: FARGATE must be among them",
			bad + ": networkMode: Fargate needs awsvpc",
			bad + ": ephemeralStorage.sizeInGiB: must be 21-200",
			bad + ": runtimePlatform.cpuArchitecture: must be X86_64 or ARM64",
			bad + ": runtimePlatform.operatingSystemFamily: must be LINUX (Fargate Spot and this stand-in have no Windows)",
			bad + ": volumes[0].host.sourcePath: Fargate does not support it",
			bad + ": cpu, memory: no Fargate configuration exists for 256 CPU units with 4096 MiB: memory must be 512, 1024 or 2048",
			bad + ": containerDefinitions[0].stopTimeout: Fargate takes 2-120 seconds",
			bad + ": containerDefinitions[0].privileged: Fargate does not support it",
			bad + ": containerDefinitions[1].name: a is there twice",
			bad + ": containerDefinitions[1].image: is needed",
			bad + ": containerDefinitions[1].memory: must be 6 MiB or more",
			bad + ": containerDefinitions[1].portMappings[0].hostPort: awsvpc needs it to be the containerPort",
			bad + ": containerDefinitions: at least one essential container is needed",
		}
		if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
			t.Error(diff)
		}
		if n := w.count("fargate_task_definitions"); n != 0 {
			t.Errorf("%d were registered", n)
		}
	})

	t.Run("warns once of settings that it ignores", func(t *testing.T) {
		t.Parallel()
		var log bytes.Buffer
		w, dir := setup(t, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}, nil), t.TempDir()
		writeFile(t, dir, "job.json", strings.Replace(goodDefinition, `"image"`,
			`"startTimeout": 10, "secrets": [{"name": "S", "valueFrom": "arn"}], "image"`, 1))
		load(t, w, dir)
		load(t, w, dir)
		if n := strings.Count(log.String(), "level=WARN"); n != 2 || !strings.Contains(log.String(), "containerDefinitions[0].startTimeout") ||
			!strings.Contains(log.String(), "containerDefinitions[0].secrets") {
			t.Errorf("the log is\n%s", log.String())
		}
	})
}

func TestAFileThatIsNoTaskDefinitionIsToldWhereAndWhy(t *testing.T) {
	t.Parallel()
	for document, want := range map[string]string{
		" \n":                          "is empty",
		"{\n  \"family\": secret\n}":   "is not valid JSON, at line 2, byte 13",
		"secret":                       "is not valid JSON, at line 1, byte 1",
		`{"family": "job"`:             "is not complete JSON: the file ends in the middle of it",
		`{} {}`:                        "there is more than one JSON document",
		`[]`:                           "the document is a JSON array and must be an object",
		`{"famly": "job"}`:             "unknown key famly",
		`{"cpu": 256}`:                 "cpu is a JSON number and must be a string",
		`{"containerDefinitions": {}}`: "containerDefinitions is a JSON object and must be an array",
		`{"containerDefinitions": [{"memory": "secret"}]}`:    "containerDefinitions.memory is a JSON string and must be a whole number",
		`{"containerDefinitions": [{"essential": "secret"}]}`: "containerDefinitions.essential is a JSON string and must be true or false",
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			if _, err := parseDefinition([]byte(document)); errorText(err) != want {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestTheContainersOfATaskDefinitionFitIntoTheTask(t *testing.T) {
	t.Parallel()
	in := definitionInput("job")
	in.ContainerDefinitions[0].Memory, in.ContainerDefinitions[0].Cpu = new(int32(1024)), 1000
	in.ContainerDefinitions = append(in.ContainerDefinitions, types.ContainerDefinition{
		Name: new("side"), Image: new("side"), Memory: new(int32(1025)), Cpu: 100,
	})
	want := []string{
		"containerDefinitions: the containers want 2049 MiB of memory, the task has 2048",
		"containerDefinitions: the containers want 1100 CPU units, the task has 1024",
	}
	if diff := cmp.Diff(want, checkTaskDefinition(in)); diff != "" {
		t.Error(diff)
	}
}

func TestEverySettingThatFargateDoesNotSupportIsRefused(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ container, want string }{
		"disableNetworking":     {`"disableNetworking": true`, "disableNetworking: Fargate does not support it"},
		"dnsSearchDomains":      {`"dnsSearchDomains": ["a.example"]`, "dnsSearchDomains: Fargate does not support them"},
		"dnsServers":            {`"dnsServers": ["10.0.0.1"]`, "dnsServers: Fargate does not support them"},
		"dockerSecurityOptions": {`"dockerSecurityOptions": ["no-new-privileges"]`, "dockerSecurityOptions: Fargate does not support them"},
		"a GPU": {
			`"resourceRequirements": [{"type": "GPU", "value": "1"}]`,
			"resourceRequirements: Fargate has neither GPUs nor inference accelerators",
		},
		"privileged":       {`"privileged": true`, "privileged: Fargate does not support it"},
		"maxSwap":          {`"linuxParameters": {"maxSwap": 0}`, "linuxParameters.maxSwap: Fargate does not support it"},
		"swappiness":       {`"linuxParameters": {"swappiness": 60}`, "linuxParameters.swappiness: Fargate does not support it"},
		"sharedMemorySize": {`"linuxParameters": {"sharedMemorySize": 64}`, "linuxParameters.sharedMemorySize: Fargate does not support it"},
		"devices": {
			`"linuxParameters": {"devices": [{"hostPath": "/dev/fuse"}]}`,
			"linuxParameters.devices: Fargate does not support them",
		},
		"tmpfs": {
			`"linuxParameters": {"tmpfs": [{"containerPath": "/t", "size": 1}]}`,
			"linuxParameters.tmpfs: Fargate does not support it",
		},
		"a capability": {
			`"linuxParameters": {"capabilities": {"add": ["SYS_PTRACE", "NET_ADMIN"]}}`,
			"linuxParameters.capabilities.add: Fargate takes SYS_PTRACE only",
		},
		"a log driver": {
			`"logConfiguration": {"logDriver": "json-file"}`,
			"logConfiguration.logDriver: Fargate takes awslogs, splunk or awsfirelens",
		},
		"an unknown dependency": {
			`"dependsOn": [{"containerName": "main", "condition": "START"}, {"containerName": "x", "condition": "START"}]`,
			"dependsOn[1].containerName: no container has this name",
		},
		"all that Fargate takes": {
			`"linuxParameters": {"initProcessEnabled": true, "capabilities": {"add": ["SYS_PTRACE"], "drop": ["ALL"]}},
			"logConfiguration": {"logDriver": "splunk"}, "dependsOn": [{"containerName": "main", "condition": "START"}],
			"disableNetworking": false, "dnsServers": [], "resourceRequirements": []`, "",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in, side := definitionInput("job"), types.ContainerDefinition{}
			if err := decodeShape([]byte(`{"name": "side", "image": "side", `+test.container+`}`), &side); err != nil {
				t.Fatal(err)
			}
			in.ContainerDefinitions = append(in.ContainerDefinitions, side)
			var want []string
			if test.want != "" {
				want = []string{"containerDefinitions[1]." + test.want}
			}
			if diff := cmp.Diff(want, checkTaskDefinition(in)); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("inferenceAccelerators", func(t *testing.T) {
		t.Parallel()
		in := definitionInput("job")
		if err := decodeShape([]byte(`{"inferenceAccelerators": [{"deviceName": "a", "deviceType": "eia2.medium"}]}`), in); err != nil {
			t.Fatal(err)
		}
		want := []string{"inferenceAccelerators: Fargate does not support them"}
		if diff := cmp.Diff(want, checkTaskDefinition(in)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestWhatNoProcessCanBeGivenIsRefusedAndNeverQuoted(t *testing.T) {
	t.Parallel()
	in := definitionInput("job")
	c := &in.ContainerDefinitions[0]
	c.EntryPoint, c.Command = []string{"sh", "secret\x00"}, []string{"\x00secret"}
	c.Environment = []types.KeyValuePair{
		{Name: new(""), Value: new("secret")},
		{Name: new("A=secret"), Value: new("b=c")},
		{Name: new("B"), Value: new("secret\x00")},
	}
	want := []string{
		"containerDefinitions[0].entryPoint[1]: must not contain a NUL character",
		"containerDefinitions[0].command[0]: must not contain a NUL character",
		"containerDefinitions[0].environment[0].name: is needed",
		"containerDefinitions[0].environment[1].name: must contain neither = nor a NUL character",
		"containerDefinitions[0].environment[2].value: must not contain a NUL character",
	}
	if diff := cmp.Diff(want, checkTaskDefinition(in)); diff != "" {
		t.Error(diff)
	}
}

func TestDescribeTaskDefinition(t *testing.T) {
	t.Parallel()
	w := setup(t, Options{}, nil)
	w.register(nil)
	w.register(nil)
	if _, err := w.DeregisterTaskDefinition(t.Context(), &ecs.DeregisterTaskDefinitionInput{TaskDefinition: new("job:2")}); err != nil {
		t.Fatal(err)
	}
	tests := map[string]string{
		"job":                             "job:1 ACTIVE", // the latest active one
		"job:2":                           "job:2 INACTIVE",
		"job:1":                           "job:1 ACTIVE",
		arnBase + "task-definition/job:2": "job:2 INACTIVE",
		"job:3":                           "Unable to describe task definition.",
		"other":                           "Unable to describe task definition.",
		"job:x":                           "Unable to describe task definition.",
		"":                                "Unable to describe task definition.",
	}
	for name, want := range tests {
		t.Run("finds by "+name, func(t *testing.T) {
			t.Parallel()
			out, err := w.DescribeTaskDefinition(t.Context(), &ecs.DescribeTaskDefinitionInput{TaskDefinition: &name})
			got := ""
			if client, ok := errors.AsType[*types.ClientException](err); ok {
				got = *client.Message
			} else if err != nil {
				t.Fatal(err)
			} else {
				got = lastPart(*out.TaskDefinition.TaskDefinitionArn) + " " + string(out.TaskDefinition.Status)
			}
			if got != want {
				t.Errorf("the answer is %q, not %q", got, want)
			}
		})
	}
}

func TestTheExecutorGetsTheDefinitionWithTheOverridesApplied(t *testing.T) {
	t.Parallel()
	w := setup(t, Options{TimeScale: 2, LogDirectory: "/logs"}, nil)
	in := definitionInput("job")
	c := &in.ContainerDefinitions[0]
	c.EntryPoint, c.Command, c.WorkingDirectory, c.User = []string{"sh"}, []string{"defined"}, new("/w"), new("1000")
	c.StopTimeout, c.ReadonlyRootFilesystem, c.Memory = new(int32(60)), new(true), new(int32(512))
	c.LinuxParameters = &types.LinuxParameters{InitProcessEnabled: new(true)}
	d, _, err := w.Cluster.register(t.Context(), in, false)
	if err != nil {
		t.Fatal(err)
	}
	request := spotRequest()
	request.Overrides = &types.TaskOverride{Cpu: new("2 vCPU"), Memory: new("4 GB"), ContainerOverrides: []types.ContainerOverride{{
		Name: new(mainContainer), Command: []string{"overridden"}, Memory: new(int32(1024)), Cpu: new(int32(128)),
		Environment: []types.KeyValuePair{{Name: new("SECOND"), Value: new("overridden")}, {Name: new("THIRD"), Value: new("a=b")}},
	}}}
	arn := lastPart(w.run(func(in *ecs.RunTaskInput) { in.Overrides = request.Overrides }))
	got, err := w.spec(w.row(arn), d)
	if err != nil {
		t.Fatal(err)
	}
	want := TaskSpec{TaskID: arn, CPU: 2048, MemoryMiB: 4096, Containers: []ContainerSpec{{
		Name: mainContainer, Image: "example.com/job:1", EntryPoint: []string{"sh"}, Command: []string{"overridden"},
		Environment:      []string{"FIRST=defined", "SECOND=overridden", "THIRD=a=b"},
		WorkingDirectory: "/w", User: "1000", Essential: true, ReadonlyRoot: true, Init: true, MemoryMiB: 1024, CPU: 128,
		StopTimeout: 30e9, LogFile: "/logs/" + arn[:2] + "/" + arn + ".main.log",
	}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func FuzzParseDefinition(f *testing.F) {
	f.Add(goodDefinition)
	f.Add(`{"taskDefinition": {"family": "x"}}`)
	f.Add(`{"containerDefinitions": [null], "volumes": [{}]}`)
	f.Fuzz(func(t *testing.T, document string) {
		in, err := parseDefinition([]byte(document))
		if err != nil || len(checkTaskDefinition(in)) > 0 {
			return
		}
		// What is accepted can be stored and read again.
		content := encodeShape(withDefaults(in))
		d, err := newDefinition(1, true, string(content), time.Time{})
		if err != nil {
			t.Fatalf("%s: %v", content, err)
		}
		if again := encodeShape(withDefaults(&d.RegisterTaskDefinitionInput)); !bytes.Equal(again, content) {
			t.Fatalf("%s became %s", content, again)
		}
	})
}
