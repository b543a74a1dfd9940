package dynamo_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"

	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/jobs/dynamo"
	"github.com/spotbatch/spotbatch/pkg/jobs/jobstest"
)

func encoded(t testing.TB, job *jobs.Job) []byte {
	t.Helper()
	document, err := dynamo.Encode(job)
	if err != nil {
		t.Fatal(err)
	}
	return document
}

func TestAJobWithEveryFieldSetIsReadAsItWasStored(t *testing.T) {
	t.Parallel()
	got, err := dynamo.Decode(encoded(t, jobstest.Full("job-1")))
	if diff := cmp.Diff(jobstest.Full("job-1"), got); err != nil || diff != "" {
		t.Errorf("Decode: %v (-want +got):\n%s", err, diff)
	}
}

// The dictionary is part of format 1: with another one, what is stored could not be read any more.
func TestFormat1NeverChanges(t *testing.T) {
	t.Parallel()
	const want = "52062483caf71e532886df1a88cd01984c612362af34e4e166c88261a42fd4fb"
	if sum := sha256.Sum256([]byte(dynamo.Dictionary)); hex.EncodeToString(sum[:]) != want {
		t.Errorf("the dictionary has changed to %x: a better one is a new format, with a first byte of its own", sum)
	}
	document, err := os.ReadFile(filepath.Join("testdata", "format-1.golden"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := dynamo.Decode(document)
	first := jobstest.Full("job-1")
	first.Internal.CallsFailed, first.Internal.NewsFailed, first.Attempts[0].Internal.NoTaskAt = 0, 0, jobs.Time{} // came later
	if diff := cmp.Diff(first, got); err != nil || diff != "" {
		t.Errorf("the document of an earlier version: %v (-want +got):\n%s", err, diff)
	}
}

func TestADamagedDocumentIsAnError(t *testing.T) {
	t.Parallel()
	whole := encoded(t, jobstest.Full("job-1"))
	for n := range whole {
		if _, err := dynamo.Decode(whole[:n]); err == nil {
			t.Errorf("the first %d of %d bytes are read as a job", n, len(whole))
		}
	}
	for name, document := range map[string][]byte{
		"nothing":          nil,
		"something behind": append(whole[:len(whole):len(whole)], 0),
		"no JSON":          append(whole[:1:1], 0xff, 0xff, 0xff),
	} {
		if _, err := dynamo.Decode(document); err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("%s: %v, want an error that says so", name, err)
		}
	}
}

func TestAnUnknownFormatIsNamed(t *testing.T) {
	t.Parallel()
	document := encoded(t, jobstest.Full("job-1"))
	document[0] = 2
	if _, err := dynamo.Decode(document); err == nil || !strings.Contains(err.Error(), "format 2") {
		t.Errorf("Decode = %v, want an error that names format 2", err)
	}
}

func TestAnItemThatWasChangedByHandIsAnError(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(item map[string]types.AttributeValue){
		"another id":      func(i map[string]types.AttributeValue) { i["id"] = &types.AttributeValueMemberS{Value: "job-2"} },
		"another version": func(i map[string]types.AttributeValue) { i["version"] = &types.AttributeValueMemberN{Value: "9"} },
		"no document":     func(i map[string]types.AttributeValue) { delete(i, "job") },
		"a text":          func(i map[string]types.AttributeValue) { i["job"] = &types.AttributeValueMemberS{Value: "{}"} },
	} {
		item, _, err := dynamo.Items()(jobstest.Full("job-1"))
		if err != nil {
			t.Fatal(err)
		}
		change(item)
		if _, err := dynamo.JobOf(item); err == nil {
			t.Errorf("%s: the item is read as a job", name)
		}
	}
}

func TestAJobThatNoItemHoldsIsAnError(t *testing.T) {
	t.Parallel()
	dice := rand.NewChaCha8([32]byte{})
	noise := make([]byte, 500<<10)
	if _, err := dice.Read(noise); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ text, want string }{
		"as stored":  {hex.EncodeToString(noise), "DynamoDB keeps no item of more than 409600"},
		"as written": {strings.Repeat("a", 5<<20), "more than 4194304"},
	} {
		job := jobstest.Full("job-1")
		job.Request.ContainerOverrides.Command[0] = c.text
		if _, _, err := dynamo.Items()(job); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("too large %s: %.200v, want %q", name, err, c.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(nil))
	f.Add([]byte{1})
	f.Add(encoded(f, jobstest.Full("job-1")))
	f.Add(encoded(f, &jobs.Job{}))
	f.Add(encoded(f, accepted(f, request).Job))
	f.Fuzz(func(t *testing.T, document []byte) {
		job, err := dynamo.Decode(document)
		if err != nil {
			return
		}
		stored := encoded(t, job)
		again, err := dynamo.Decode(stored)
		if err != nil || !bytes.Equal(stored, encoded(t, again)) {
			t.Errorf("what was read and stored is read otherwise: %v\n%s", err, cmp.Diff(job, again))
		}
	})
}
