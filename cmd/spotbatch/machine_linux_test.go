package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/spotbatch/spotbatch/internal/local"
)

func TestOpenLocalSaysWhatItMayNotRead(t *testing.T) {
	t.Parallel()
	shut := filepath.Join(t.TempDir(), "shut")
	for _, mode := range []fs.FileMode{0o500, 0o300, 0} {
		if err := errors.Join(os.MkdirAll(shut, 0o700), os.Chmod(shut, mode)); err != nil {
			t.Fatal(err)
		}
		var err error
		withoutPrivileges(t, func() { _, err = openLocal(t.Context(), local.Options{DataDir: shut}, false) })
		if err == nil || !strings.Contains(err.Error(), shut+" must be readable and writable by this user") {
			t.Errorf("mode %o: got %v", mode, err)
		}
	}
}

// withoutPrivileges calls do as somebody for whom file modes hold. They do not for root, as which CI runs.
func withoutPrivileges(t *testing.T, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: this thread, which alone gives up its capabilities, ends with its goroutine
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&header, &none[0]); err != nil {
			t.Errorf("give up capabilities: %v", err)
			return
		}
		do()
	}()
	<-done
}
