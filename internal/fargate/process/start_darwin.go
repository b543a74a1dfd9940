package process

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// inspect says when a process was started and whether it has ended and only waits to be reaped. It is zero where there is
// none.
func inspect(pid int) processInfo {
	info, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil || int(info.Proc.P_pid) != pid {
		return processInfo{}
	}
	const zombie = 5 // SZOMB in sys/proc.h
	return processInfo{
		startedAt: fmt.Sprintf("%d.%06d", info.Proc.P_starttime.Sec, info.Proc.P_starttime.Usec),
		zombie:    info.Proc.P_stat == zombie,
	}
}
