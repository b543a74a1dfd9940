package jobs

import "time"

// BackoffMax is the longest wait between two attempts.
const BackoffMax = 900 * time.Second

// Backoff is the wait before attempt n of a row: somewhere from 0 to base doubled n times, as roll in [0,1) says, and never
// more than BackoffMax. The jitter is full so that jobs which failed together do not come back together.
// https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
func Backoff(base time.Duration, n int, roll float64) time.Duration {
	ceiling := min(max(base, 0), BackoffMax)
	for ; n > 0 && ceiling > 0 && ceiling < BackoffMax; n-- {
		ceiling = min(2*ceiling, BackoffMax) // below BackoffMax before, so it cannot overflow
	}
	return time.Duration(roll * float64(ceiling)).Round(time.Millisecond)
}
