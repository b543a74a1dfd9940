package fargate

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/spotbatch/spotbatch/internal/sqlitedb"
)

// Where the stand-in's resources are said to be.
const (
	region  = "local"
	account = "000000000000"
	arnBase = "arn:aws:ecs:" + region + ":" + account + ":"
)

// The capacity providers. Tasks on the first alone may be interrupted.
const (
	providerSpot     = "FARGATE_SPOT"
	providerOnDemand = "FARGATE"
)

// Options say how the stand-in behaves. The API in any process needs Name, LogDirectory, Now and Logger; the others
// matter where Run is called.
type Options struct {
	Name         string           // of the cluster; "default" where empty
	LogDirectory string           // where the containers' output goes
	MaxTasks     int              // tasks that run at once, the others wait in PROVISIONING; 0 = the number of CPUs
	LaunchDelay  time.Duration    // between RunTask and the start, divided by TimeScale
	TimeScale    float64          // the two-minute notice, LaunchDelay and stopTimeout run so many times faster; 0 = 1
	Now          func() time.Time // time.Now where nil
	Logger       *slog.Logger     // discards where nil
}

// Cluster is an ECS cluster with the capacity providers FARGATE and FARGATE_SPOT. Any number of processes may open the
// same one; one of them calls Run. A process opens it once: two Clusters on one DB wake each other by polling only.
type Cluster struct {
	db   *sqlitedb.DB
	opts Options

	// revisions keeps the task definitions that were used; a revision never changes.
	revisions sync.Map // family:revision -> *definition

	work   chan struct{} // holds a token when a call may have left something for Run
	outbox chan struct{} // likewise when the outbox may have grown, by other processes too while Run runs; for one consumer
}

// Open prepares the tables and returns the cluster. It starts nothing.
func Open(ctx context.Context, db *sqlitedb.DB, opts Options) (*Cluster, error) {
	if opts.Name == "" {
		opts.Name = "default"
	}
	if opts.MaxTasks <= 0 {
		opts.MaxTasks = runtime.NumCPU()
	}
	if opts.TimeScale <= 0 {
		opts.TimeScale = 1
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	logs, err := filepath.Abs(opts.LogDirectory)
	if err != nil {
		return nil, err
	}
	opts.LogDirectory = logs
	if err := db.Migrate(ctx, schema); err != nil {
		return nil, err
	}
	c := &Cluster{db: db, opts: opts, work: make(chan struct{}, 1), outbox: make(chan struct{}, 1)}
	rouse(c.outbox) // what an earlier process left
	return c, nil
}

// Counts is how many tasks have not stopped.
type Counts struct {
	Waiting int // in PROVISIONING, in the table alone
	Handed  int // with the executor, or next in line
}

// Live counts the tasks that have not stopped.
func (c *Cluster) Live(ctx context.Context) (counts Counts, err error) {
	err = c.db.View(ctx, func(tx *sqlitedb.Tx) (err error) {
		counts, err = countLive(tx)
		return err
	})
	return counts, err
}

// countLive asks for each phase by itself, so that each is counted in its own index.
func countLive(tx *sqlitedb.Tx) (counts Counts, err error) {
	err = tx.QueryRow(`SELECT (SELECT count(*) FROM fargate_tasks WHERE phase = 'waiting'),
		(SELECT count(*) FROM fargate_tasks WHERE phase = 'handed')`).Scan(&counts.Waiting, &counts.Handed)
	return counts, err
}

// LogFile is where the output of a task's container is, or will be. The task is given by ARN or id.
func (c *Cluster) LogFile(task, container string) string {
	id := filepath.Base(task)
	return filepath.Join(c.opts.LogDirectory, id[:min(2, len(id))], id+"."+filepath.Base(container)+".log")
}

// checkCluster refuses calls to another cluster. An empty name is "default", as in ECS.
func (c *Cluster) checkCluster(name *string) error {
	given := "default"
	if name != nil && *name != "" {
		given = *name
	}
	if given != c.opts.Name && given != c.clusterARN() {
		return &types.ClusterNotFoundException{Message: new("Cluster not found.")}
	}
	return nil
}

func (c *Cluster) clusterARN() string { return arnBase + "cluster/" + c.opts.Name }

func (c *Cluster) taskARN(id string) string { return arnBase + "task/" + c.opts.Name + "/" + id }

// lastPart is a resource's name or id where its ARN or the name itself may be given.
func lastPart(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }

// scaled is a span of ECS's time as the time scale has it.
func (o *Options) scaled(d time.Duration) time.Duration {
	return time.Duration(float64(d) / o.TimeScale)
}

func randomHex(bytes int) string {
	random := make([]byte, bytes)
	_, _ = rand.Read(random) // never fails
	return hex.EncodeToString(random)
}

func randomUUID() string {
	h := randomHex(16)
	return h[:8] + "-" + h[8:12] + "-4" + h[13:16] + "-8" + h[17:20] + "-" + h[20:]
}

// rouse puts a token into a channel of one.
func rouse(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
