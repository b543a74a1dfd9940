package process

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// adoptOrphans makes the processes that a container leaves behind children of the supervisor instead of process 1.
func adoptOrphans() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become subreaper: %w", err)
	}
	return nil
}

// awaitChild waits for any child to end and leaves it unreaped, so that its id stays its own.
func awaitChild() (pid, code int, err error) {
	var info unix.Siginfo
	for {
		err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOWAIT, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return 0, 0, err
		}
		break
	}
	// For a child the union behind the three leading integers begins with its id, its user and its status (sigaction(2)).
	// The union is aligned as a pointer is.
	const header = 3 * 4
	const align = int(unsafe.Sizeof(uintptr(0)))
	raw := (*[unsafe.Sizeof(info)]byte)(unsafe.Pointer(&info))
	fields := raw[(header+align-1)/align*align:]
	pid = int(int32(binary.NativeEndian.Uint32(fields[0:])))
	code = int(int32(binary.NativeEndian.Uint32(fields[8:])))
	const exited = 1 // CLD_EXITED; else the status is the signal that killed it
	if info.Code != exited {
		code += 128
	}
	return pid, code, nil
}

// reapChild lets go of a child that awaitChild has returned.
func reapChild(pid int) {
	for {
		if _, err := unix.Wait4(pid, nil, unix.WNOHANG, nil); !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// children lists the supervisor's own. A kernel without these files leaves orphans to their fate.
func children() []int {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return nil
	}
	var pids []int
	for _, thread := range threads {
		list, err := os.ReadFile("/proc/self/task/" + thread.Name() + "/children")
		if err != nil {
			continue
		}
		for field := range strings.FieldsSeq(string(list)) {
			if pid, err := strconv.Atoi(field); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// markerOf reads which container a process belongs to, empty for none. It tells whether there was an environment to read: a
// process that has ended has none, nor has one in the middle of exec.
func markerOf(pid int) (string, bool) {
	env, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil || len(env) == 0 {
		return "", false
	}
	for entry := range bytes.SplitSeq(env, []byte{0}) {
		if value, ok := bytes.CutPrefix(entry, []byte(marker+"=")); ok {
			return string(value), true
		}
	}
	return "", true
}

// inspect says when a process was started, in ticks of a boot that is named too (after a restart of the machine the same
// ticks mean another process), and whether it has ended and only waits to be reaped. It is zero where there is none.
func inspect(pid int) processInfo {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return processInfo{}
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return processInfo{}
	}
	// The second field is the program's name in brackets and may hold anything; the third is the state, the 22nd the start
	// time (proc(5)).
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	const state, startTime = 0, 22 - 3
	if len(fields) <= startTime {
		return processInfo{}
	}
	return processInfo{
		startedAt: string(bytes.TrimSpace(boot)) + "/" + string(fields[startTime]),
		zombie:    string(fields[state]) == "Z",
	}
}

// killMarked kills every process that carries the mark of one of these tasks of an executor, and tells how many it found.
// Which process an id is, is pinned before it is looked at a second time and killed.
func killMarked(dir string, taskIDs map[string]bool) int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0
	}
	belongs := func(pid int) bool {
		mark, _ := markerOf(pid)
		path, _ := strings.CutPrefix(mark, dir+"/")
		taskID, _, _ := strings.Cut(path, "/")
		return taskIDs[taskID]
	}
	found := 0
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || !belongs(pid) {
			continue
		}
		found++
		pin, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue // it has ended; on a kernel before 5.3 the caller finds it again and gives up in the end
		}
		if belongs(pid) {
			_ = unix.PidfdSendSignal(pin, unix.SIGKILL, nil, 0)
		}
		unix.Close(pin)
	}
	return found
}
