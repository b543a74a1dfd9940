package process

// The engine and its supervisor speak JSON over two pipes. Requests go down one, messages come up the other; the end of
// the requests is the engine's death (or Close) and tells the supervisor to drain. Nothing is acknowledged that the
// journal does not already hold, so a message that nobody read is never missed.

// request is one of a start, a signal, and the id of a task that need not be kept in the journal any more.
type request struct {
	Start  *startRequest  `json:"start,omitempty"`
	Signal *signalRequest `json:"signal,omitempty"`
	Forget string         `json:"forget,omitempty"`
}

// startRequest asks for all containers of a task; it is answered by one message.
type startRequest struct {
	TaskID     string   `json:"taskId"`
	Directory  string   `json:"directory"`
	Containers []launch `json:"containers"`
}

// launch is one container, resolved: nothing in it is looked up again. It holds the environment, secrets included, which
// is why it travels through a pipe and is never written to a file.
type launch struct {
	Name    string   `json:"name"`
	Mark    string   `json:"mark"` // the value of the marker in Env
	Path    string   `json:"path"`
	Args    []string `json:"args"` // with the name of the program first
	Env     []string `json:"env"`
	LogFile string   `json:"logFile"`
}

// signalRequest asks for a signal to one container, or to all where Container is empty. It is not answered.
type signalRequest struct {
	TaskID    string `json:"taskId"`
	Container string `json:"container,omitempty"`
	Signal    int    `json:"signal"`
}

// message is an answer to a start (one of Started, Refused, Trouble) or the exit of a container.
type message struct {
	TaskID    string `json:"taskId"`
	Started   bool   `json:"started,omitempty"`
	Refused   string `json:"refused,omitempty"` // the task's stoppedReason, in ECS's words
	Trouble   string `json:"trouble,omitempty"` // the executor's own failure
	Container string `json:"container,omitempty"`
	Exit      *exit  `json:"exit,omitempty"`
}
