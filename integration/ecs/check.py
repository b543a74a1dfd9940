"""Drives `spotbatch local up --ecs-listen` through boto3 and the aws command, and checks every answer and every request of
the launcher against botocore's model of ECS.

usage: check.py SPOTBATCH REQUESTS AWS"""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError

import model

BINARY, REQUESTS, AWS = (os.path.abspath(argument) for argument in sys.argv[1:4])
FAULTS = "throttle:1,no-capacity:1,lost-answer:1"
ENVIRONMENT = {
    "PATH": os.environ["PATH"], "HOME": "/nonexistent", "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true",
}
DEFINITION = {
    "family": "sh", "requiresCompatibilities": ["FARGATE"], "networkMode": "awsvpc", "cpu": ".25 vCPU", "memory": "0.5GB",
    "runtimePlatform": {"cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX"}, "ephemeralStorage": {"sizeInGiB": 30},
    "executionRoleArn": "arn:aws:iam::123456789012:role/execution", "tags": [{"key": "kind", "value": "batch"}],
    "containerDefinitions": [{
        "name": "main", "image": "none", "entryPoint": ["/bin/sh", "-c"], "command": ["true"], "essential": True, "stopTimeout": 30,
        "environment": [{"name": "A", "value": "1"}], "portMappings": [{"containerPort": 80, "protocol": "tcp"}],
        "healthCheck": {"command": ["CMD", "true"], "interval": 5}, "ulimits": [{"name": "nofile", "softLimit": 1, "hardLimit": 2}],
        "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "/jobs", "awslogs-region": "us-east-1"}},
    }],
}
RUN = {
    "cluster": "local", "taskDefinition": "sh", "count": 1, "startedBy": "other/job-1/1",
    "capacityProviderStrategy": [{"capacityProvider": "FARGATE_SPOT", "weight": 1}], "propagateTags": "TASK_DEFINITION",
    "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"], "assignPublicIp": "DISABLED"}},
    "tags": [{"key": "team", "value": "data"}], "platformVersion": "LATEST", "enableECSManagedTags": True,
}

problems, answers = [], 0


def expect(what, right):
    if not right:
        problems.append(what)


def overriding(command, **more):
    return dict(RUN, overrides={"containerOverrides": [{"name": "main", "command": [command]}]}, **more)


def look(response_dict, operation_model, **_):
    """Checks an answer before botocore reads it."""
    global answers
    answers += 1
    body, name = json.loads(response_dict["body"]), operation_model.name
    check = model.answer_problems if response_dict["status_code"] < 300 else model.error_problems
    problems.extend(check(name, body))


def refused(code, status, call, **parameters):
    """Has a call refused, and returns the error as boto3 tells it."""
    try:
        call(**parameters)
    except ClientError as error:
        got = (error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"])
        expect(f"refused with {got}, not {(code, status)}", got == (code, status))
        return error
    problems.append(f"{parameters} was not refused with {code}")


def check_faults(ecs):
    refused("ThrottlingException", 400, ecs.run_task, **overriding("true"))
    answer = ecs.run_task(**overriding("true"))
    expect("no failure without capacity", answer["tasks"] == [] and "Capacity is unavailable" in answer["failures"][0]["reason"])
    try:
        ecs.run_task(**overriding("true", clientToken="lost"))
        problems.append("the answer was not lost")
    except HTTPClientError:
        pass
    expect("the lost launch made no task", len(ecs.run_task(**overriding("true", clientToken="lost"))["tasks"]) == 1)
    conflict = refused("ConflictException", 400, ecs.run_task, **overriding("false", clientToken="lost"))
    expect("the conflict names no task", len(conflict.response.get("resourceIds", [])) == 1)


def check_operations(ecs):
    registered = ecs.register_task_definition(**DEFINITION)["taskDefinition"]
    expect("registered as 256/512", (registered["cpu"], registered["memory"]) == ("256", "512"))
    check_faults(ecs)
    shown = ecs.describe_task_definition(taskDefinition="sh", include=["TAGS"])
    expect("the definition's tags", shown["tags"] == DEFINITION["tags"] and shown["taskDefinition"]["revision"] == 1)

    task = ecs.run_task(**overriding("exit 3"))["tasks"][0]
    expect("the task's tags", {tag["key"] for tag in task["tags"]} == {"team", "kind"})
    ecs.get_waiter("tasks_stopped").wait(cluster="local", tasks=[task["taskArn"]], WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    ended = ecs.describe_tasks(cluster=task["clusterArn"], tasks=[task["taskArn"], "0" * 32], include=["TAGS"])
    expect("the exit code", ended["tasks"][0]["containers"][0]["exitCode"] == 3)
    expect("what is missing", [failure["reason"] for failure in ended["failures"]] == ["MISSING"])

    sleeping = ecs.run_task(**overriding("sleep 1000", startedBy="other/job-2/1"))["tasks"][0]["taskArn"]
    ecs.get_waiter("tasks_running").wait(cluster="local", tasks=[sleeping], WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    expect("the running task is listed", ecs.list_tasks(cluster="local", startedBy="other/job-2/1")["taskArns"] == [sleeping])
    ecs.stop_task(cluster="local", task=sleeping, reason="enough")
    ecs.get_waiter("tasks_stopped").wait(cluster="local", tasks=[sleeping], WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    pages = ecs.get_paginator("list_tasks").paginate(cluster="local", desiredStatus="STOPPED", PaginationConfig={"PageSize": 1})
    expect("the stopped tasks, page by page", {task["taskArn"], sleeping} <= {arn for page in pages for arn in page["taskArns"]})

    clusters = ecs.describe_clusters(clusters=["local", "other"])
    expect("clusters", [c["clusterName"] for c in clusters["clusters"]] == ["local"] and len(clusters["failures"]) == 1)
    expect("deregistered", ecs.deregister_task_definition(taskDefinition="sh:1")["taskDefinition"]["status"] == "INACTIVE")


def check_refusals(ecs):
    refused("ClusterNotFoundException", 400, ecs.run_task, taskDefinition="sh")  # that is the cluster default
    refused("ClusterNotFoundException", 400, ecs.list_tasks, cluster="other")
    refused("ClientException", 400, ecs.run_task, **dict(RUN, taskDefinition="nothing"))
    refused("ClientException", 400, ecs.describe_task_definition, taskDefinition="nothing")
    refused("ClientException", 400, ecs.register_task_definition, family="bad", containerDefinitions=[{"name": "main"}])
    refused("InvalidParameterException", 400, ecs.run_task, **dict(RUN, launchType="FARGATE"))
    refused("InvalidParameterException", 400, ecs.stop_task, cluster="local", task="nothing")
    refused("PlatformUnknownException", 400, ecs.run_task, **dict(RUN, platformVersion="9.9.9"))
    refused("UnknownOperationException", 404, ecs.create_service, serviceName="s")


def check_command(endpoint, directory):
    """The same through the aws command, as people type it."""
    def aws(*arguments):
        done = subprocess.run([AWS, "ecs", *arguments, "--endpoint-url", endpoint, "--output", "json"],
                              env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            problems.append(f"aws ecs {arguments[0]}: {done.stderr.strip()}")
            return {}
        return json.loads(done.stdout or "{}")

    definition = pathlib.Path(directory, "definition.json")
    definition.write_text(json.dumps(dict(DEFINITION, family="typed")))
    arn = aws("register-task-definition", "--cli-input-json", f"file://{definition}").get("taskDefinition", {}).get("taskDefinitionArn")
    expect("described", aws("describe-task-definition", "--task-definition", "typed").get("taskDefinition", {}).get("taskDefinitionArn") == arn)
    ran = aws("run-task", "--cluster", "local", "--task-definition", "typed", "--launch-type", "FARGATE", "--started-by", "typed",
              "--network-configuration", "awsvpcConfiguration={subnets=[subnet-1]}",
              "--overrides", '{"containerOverrides":[{"name":"main","command":["sleep 1000"]}]}')
    task = ran["tasks"][0]["taskArn"]
    expect("listed", aws("list-tasks", "--cluster", "local", "--started-by", "typed") == {"taskArns": [task]})
    aws("stop-task", "--cluster", "local", "--task", task, "--reason", "typed")
    aws("wait", "tasks-stopped", "--cluster", "local", "--tasks", task)
    ended = aws("describe-tasks", "--cluster", "local", "--tasks", task)["tasks"][0]
    expect("stopped by hand", (ended["stopCode"], ended["stoppedReason"]) == ("UserInitiated", "typed"))
    aws("describe-clusters", "--clusters", "local")
    aws("deregister-task-definition", "--task-definition", "typed:1")


def check_requests():
    files = sorted(pathlib.Path(REQUESTS).glob("*.json"))
    for file in files:
        request = json.loads(file.read_text())
        problems.extend(f"{file.stem}: {line}" for line in model.request_problems(request["operation"], request["input"]))
        if request["operation"] == "RunTask":
            expect(f"{file.stem}: launchType", "launchType" not in request["input"])
    operations = {json.loads(file.read_text())["operation"] for file in files}
    wanted = {"RunTask", "StopTask", "DescribeTasks", "ListTasks", "DescribeTaskDefinition", "DescribeClusters"}
    expect(f"requests of {operations}, not of {wanted}", operations == wanted)
    return len(files)


def check_the_checks():
    """A validator that finds nothing is worth nothing."""
    expect("an unknown member passes", model.answer_problems("ListTasks", {"tasks": []}))
    expect("a wrong type passes", model.answer_problems("ListTasks", {"taskArns": [1]}))
    expect("a text for a time passes", model.answer_problems("StopTask", {"task": {"createdAt": "2026-01-01T00:00:00Z"}}))
    expect("an unknown enum passes", model.answer_problems("StopTask", {"task": {"launchType": "FARGATE_SPOT"}}))
    expect("another error passes", model.error_problems("ListTasks", {"__type": "ConflictException", "message": "m"}))
    expect("an unknown parameter passes", model.request_problems("StopTask", {"task": "t", "why": "x"}))
    expect("a missing parameter passes", model.request_problems("StopTask", {}))


def up(directory):
    """Starts the stand-in and returns the process and its endpoint."""
    process = subprocess.Popen(
        [BINARY, "local", "up", "--data", os.path.join(directory, "data"), "--executor", "process", "--ecs-listen", "127.0.0.1:0",
         "--inject", FAULTS], cwd=directory, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if found := re.search(r"http://127\.0\.0\.1:\d+", line):
            return process, found[0]
    raise SystemExit(f"spotbatch local up ended with {process.wait()} before it listened")


def main():
    with tempfile.TemporaryDirectory() as directory:
        process, endpoint = up(directory)
        try:
            session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1")
            ecs = session.client("ecs", endpoint_url=endpoint, config=Config(retries={"total_max_attempts": 1}))
            ecs.meta.events.register("before-parse.ecs", look)
            check_operations(ecs)
            check_refusals(ecs)
            check_command(endpoint, directory)
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=30)
        expect(f"it ended with {process.returncode}", process.returncode in (0, 143))
    check_the_checks()
    requests = check_requests()
    expect(f"only {answers} answers were looked at", answers > 20)
    for problem in problems:
        print("FAIL", problem, file=sys.stderr)
    print(f"{answers} answers and {requests} requests held against botocore's model: {len(problems)} problems")
    sys.exit(bool(problems))


main()
