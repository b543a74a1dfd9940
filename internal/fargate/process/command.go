package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/spotbatch/spotbatch/internal/fargate"
)

// marker is the variable that every process of a container carries: the executor's directory, the task id and the
// container's name, as a path. It is how what is left of a task is found when the supervisor that knew its process ids is
// dead.
const marker = "SPOTBATCH_CONTAINER"

func (e *Executor) mark(taskID, container string) string {
	return e.config.Dir + "/" + taskID + "/" + container
}

// validName is what a task id and a container's name must be, since a mark is cut at its slashes. ECS's own are of this form.
var validName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`)

// resolve turns a task into a start request: the program found, the environment built.
func (e *Executor) resolve(task fargate.TaskSpec) (*startRequest, error) {
	if !validName.MatchString(task.TaskID) {
		return nil, fmt.Errorf("task id %q is not valid", task.TaskID)
	}
	if len(task.Containers) == 0 {
		return nil, fmt.Errorf("task %s has no container", task.TaskID)
	}
	req := &startRequest{TaskID: task.TaskID, Directory: e.config.WorkingDirectory}
	for _, c := range task.Containers {
		twice := slices.ContainsFunc(req.Containers, func(l launch) bool { return l.Name == c.Name })
		if twice || !validName.MatchString(c.Name) {
			return nil, fmt.Errorf("task %s: container name %q is not valid or used twice", task.TaskID, c.Name)
		}
		args := slices.Concat(c.EntryPoint, c.Command)
		if len(args) == 0 || args[0] == "" {
			return nil, refuse("container %s has neither entryPoint nor command", c.Name)
		}
		env := e.environment(task.TaskID, c)
		path, refusal := lookPath(args[0], lookup(env, "PATH"), e.config.WorkingDirectory)
		if refusal != nil {
			return nil, refusal
		}
		req.Containers = append(req.Containers, launch{
			Name: c.Name, Mark: e.mark(task.TaskID, c.Name), Path: path, Args: args, Env: env, LogFile: c.LogFile,
		})
	}
	return req, nil
}

// environment is the container's own, over PATH and HOME, under the marker; of a name given twice the last counts.
func (e *Executor) environment(taskID string, c fargate.ContainerSpec) []string {
	given := slices.Concat([]string{"PATH=" + e.config.Path, "HOME=" + e.config.Home}, c.Environment,
		[]string{marker + "=" + e.mark(taskID, c.Name)})
	index := make(map[string]int, len(given))
	env := make([]string, 0, len(given))
	for _, entry := range given {
		variable, _, _ := strings.Cut(entry, "=")
		if i, seen := index[variable]; seen {
			env[i] = entry
			continue
		}
		index[variable] = len(env)
		env = append(env, entry)
	}
	return env
}

func lookup(env []string, name string) string {
	for _, entry := range env {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

// lookPath finds a program as a shell would: a name with a slash is a path from the working directory, any other is looked
// for along the container's own PATH.
func lookPath(name, path, directory string) (string, *fargate.StartError) {
	if strings.Contains(name, "/") {
		file := absolute(name, directory)
		return file, executable(file, name)
	}
	refusal := refuse("exec: %q: executable file not found in $PATH", name)
	for _, dir := range filepath.SplitList(path) {
		file := absolute(filepath.Join(dir, name), directory)
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		unfit := executable(file, name)
		if unfit == nil {
			return file, nil
		}
		refusal = unfit // it is there and cannot be run: say that, unless a later directory has a better one
	}
	return "", refusal
}

func absolute(path, directory string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(directory, path)
}

// executable returns nil for a file that looks as if it can be run. It sees to the common mistakes early; exec itself has
// the last word.
func executable(file, name string) *fargate.StartError {
	info, err := os.Stat(file)
	switch {
	case err != nil:
		return refuse("exec: %q: %s", name, cause(err))
	case info.IsDir():
		return refuse("exec: %q: is a directory", name)
	case info.Mode()&0o111 == 0:
		return refuse("exec: %q: permission denied", name)
	default:
		return nil
	}
}

// refuse words a task's end as ECS does where its container cannot start. It names the file at most: arguments and the
// environment may hold secrets.
func refuse(format string, args ...any) *fargate.StartError {
	return &fargate.StartError{Reason: "CannotStartContainerError: " + fmt.Sprintf(format, args...)}
}

// refusedByExec tells an exec that the user must mend from trouble of the machine (no memory, too many processes).
func refusedByExec(err error) bool {
	return slices.ContainsFunc([]error{
		syscall.ENOENT, syscall.EACCES, syscall.EPERM, syscall.ENOEXEC, syscall.ENOTDIR, syscall.EISDIR, syscall.ELOOP,
		syscall.ENAMETOOLONG, syscall.E2BIG, syscall.EINVAL,
	}, func(target error) bool { return errors.Is(err, target) })
}

// cause is the system's error without the path, which the sentence around it has.
func cause(err error) string {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno.Error()
	}
	return err.Error()
}
