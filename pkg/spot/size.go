package spot

import (
	"fmt"
	"strconv"
	"strings"
)

// Size is a task's size on Fargate.
type Size struct {
	CPU       int // units; 1024 = 1 vCPU
	MemoryMiB int
}

// sizes is Fargate's table for Linux tasks: for each cpu value the memory from, to and step in MiB.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html#fargate-tasks-size
var sizes = []sizeRow{
	{256, 512, 2048, 0}, // 512, 1024, 2048: doubled instead of stepped
	{512, 1024, 4096, 1024},
	{1024, 2048, 8192, 1024},
	{2048, 4096, 16384, 1024},
	{4096, 8192, 30720, 1024},
	{8192, 16384, 61440, 4096},
	{16384, 32768, 122880, 8192},
}

// ParseSize reads a task's cpu and memory as a task definition or an override has them ("256" or ".25 vCPU", "512" or
// "0.5 GB") and answers with an error in Fargate's terms where Fargate has no such size.
func ParseSize(cpu, memory string) (Size, error) {
	units, err := parseAmount(cpu, "vcpu")
	if err != nil {
		return Size{}, fmt.Errorf("cpu %q is neither CPU units nor vCPUs", cpu)
	}
	mib, err := parseAmount(memory, "gb")
	if err != nil {
		return Size{}, fmt.Errorf("memory %q is neither MiB nor GB", memory)
	}
	for _, row := range sizes {
		if row.cpu != units {
			continue
		}
		stepped := row.step > 0 && (mib-row.from)%row.step == 0
		doubled := row.step == 0 && (mib == 512 || mib == 1024 || mib == 2048)
		if mib >= row.from && mib <= row.to && (stepped || doubled) {
			return Size{CPU: units, MemoryMiB: mib}, nil
		}
		return Size{}, fmt.Errorf("no Fargate configuration exists for %d CPU units with %d MiB: memory must be %s", units, mib, row.memoryRange())
	}
	return Size{}, fmt.Errorf("no Fargate configuration exists for %d CPU units: cpu must be 256, 512, 1024, 2048, 4096, 8192 or 16384", units)
}

// parseAmount reads a plain number, or a number of units of 1024 each ("1 vCPU", "0.5GB").
func parseAmount(text, unit string) (int, error) {
	text = strings.ToLower(strings.TrimSpace(text))
	if number, ok := strings.CutSuffix(text, unit); ok {
		f, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || f < 0 || f > 1024 || f*1024 != float64(int(f*1024)) {
			return 0, fmt.Errorf("%q is not a size", text)
		}
		return int(f * 1024), nil
	}
	return strconv.Atoi(text)
}

type sizeRow struct{ cpu, from, to, step int }

func (row sizeRow) memoryRange() string {
	if row.step == 0 {
		return "512, 1024 or 2048"
	}
	return fmt.Sprintf("%d to %d in steps of %d", row.from, row.to, row.step)
}
