package dynamo_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/jobs/dynamo"
)

// sizeAim is well below the 1,024 bytes that one write unit pays for, so that longer names and commands have room.
const sizeAim = 750

func TestAJobOfOneOrTwoAttemptsTakesOneWriteUnit(t *testing.T) {
	t.Parallel()
	l, itemOf := accepted(t, request), dynamo.Items()
	check := func(when string) {
		t.Helper()
		item, size, err := itemOf(l.Job)
		if err != nil {
			t.Fatal(err)
		}
		document, err := json.Marshal(l.Job)
		if err != nil {
			t.Fatal(err)
		}
		stored := item["job"].(*types.AttributeValueMemberB).Value
		t.Logf("%-20s %3d bytes: the document %d of %d", when, size, len(stored), len(document))
		if !bytes.Equal(stored, encoded(t, l.Job)) {
			t.Errorf("%s a codec that is used again encodes otherwise", when)
		}
		if size > sizeAim {
			t.Errorf("%s the item takes %d bytes, more than %d", when, size, sizeAim)
		}
	}
	check("accepted")
	l.run(jobs.FargateSpot)
	check("running")
	once := l.Clone()
	l.succeed()
	check("succeeded")
	l.Job = once
	l.interrupt()
	check("interrupted")
	l.run(jobs.FargateOnDemand)
	check("running again")
	l.succeed()
	check("succeeded after all")
}
