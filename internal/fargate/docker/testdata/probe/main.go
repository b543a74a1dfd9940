// Probe is what the tests run in containers: it does what its first argument says.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

func main() {
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)
	switch os.Args[1] {
	case "exit":
		exit(os.Args[2])
	case "print": // to both outputs
		fmt.Println("out")
		fmt.Fprintln(os.Stderr, "err")
	case "environment":
		for _, entry := range os.Environ() {
			fmt.Println(entry)
		}
	case "identity":
		here, _ := os.Getwd()
		err := os.WriteFile("/written", nil, 0o600)
		fmt.Println(os.Getuid(), here, err != nil, os.Getpid() == 1)
	case "obey": // SIGTERM, with an exit code
		fmt.Println("ready")
		<-terminated
		fmt.Println("saved")
		exit(os.Args[2])
	case "ignore": // SIGTERM
		fmt.Println("ready")
		for range terminated {
			fmt.Println("no")
		}
	case "count": // a line a millisecond, until SIGTERM
		for i := 1; ; i++ {
			select {
			case <-terminated:
				fmt.Println("end")
				return
			case <-time.After(time.Millisecond):
				fmt.Fprintln([]*os.File{os.Stdout, os.Stderr}[i%2], i)
			}
		}
	case "eat": // memory
		for kept := [][]byte{}; ; {
			block := make([]byte, 1<<20)
			for i := range block {
				block[i] = 1
			}
			kept = append(kept, block)
		}
	}
}

func exit(code string) {
	n, err := strconv.Atoi(code)
	if err != nil {
		panic(err)
	}
	os.Exit(n)
}
