package logs

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
)

// stream is one log stream, in pages of a few events each; an empty page is one that CloudWatch Logs found nothing in.
type stream struct {
	pages [][]string
	calls int
	err   error
}

func (s *stream) GetLogEvents(
	_ context.Context, in *cloudwatchlogs.GetLogEventsInput, _ ...func(*cloudwatchlogs.Options),
) (*cloudwatchlogs.GetLogEventsOutput, error) {
	s.calls++
	if s.err != nil {
		return nil, s.err
	}
	if !aws.ToBool(in.StartFromHead) { // else it would begin at the end
		return nil, errors.New("not from the head")
	}
	at := 0
	if in.NextToken != nil {
		at, _ = strconv.Atoi(strings.TrimPrefix(*in.NextToken, "f/"))
	}
	out := &cloudwatchlogs.GetLogEventsOutput{}
	if at < len(s.pages) {
		for _, line := range s.pages[at] {
			out.Events = append(out.Events, types.OutputLogEvent{Message: aws.String(line)})
		}
		at++
	}
	out.NextForwardToken = aws.String("f/" + strconv.Itoa(at))
	return out, nil
}

func TestAReaderReadsEveryPageAndThenOn(t *testing.T) {
	t.Parallel()
	s := &stream{pages: [][]string{{"one", "two\n"}, {}, {"three"}}}
	log, err := (&Logs{s}).Open(t.Context(), "/jobs", "run/main/1")
	if err != nil {
		t.Fatal(err)
	}
	read := func(want string) {
		t.Helper()
		got, err := io.ReadAll(log)
		if err != nil || string(got) != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	read("one\ntwo\nthree\n")
	before := s.calls
	read("")
	if s.calls != before+1 {
		t.Errorf("%d calls at the end, one is enough", s.calls-before)
	}
	s.pages = append(s.pages, []string{"four"})
	read("four\n")
	if err := log.Close(); err != nil {
		t.Error(err)
	}
}

func TestAnEmptyStreamEndsAtOnce(t *testing.T) {
	t.Parallel()
	log, err := (&Logs{&stream{}}).Open(t.Context(), "/jobs", "run/main/1")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(log); err != nil || len(got) > 0 {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestAStreamThatIsNotThereDoesNotExist(t *testing.T) {
	t.Parallel()
	_, err := (&Logs{&stream{err: &types.ResourceNotFoundException{}}}).Open(t.Context(), "/jobs", "run/main/1")
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	denied := errors.New("denied")
	_, err = (&Logs{&stream{err: denied}}).Open(t.Context(), "/jobs", "run/main/1")
	if !errors.Is(err, denied) || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestTroubleWhileReadingIsTold(t *testing.T) {
	t.Parallel()
	s := &stream{pages: [][]string{{"one"}}}
	log, err := (&Logs{s}).Open(t.Context(), "/jobs", "run/main/1")
	if err != nil {
		t.Fatal(err)
	}
	s.err = errors.New("denied")
	if got, err := io.ReadAll(log); !errors.Is(err, s.err) || string(got) != "one\n" {
		t.Errorf("got %q, %v", got, err)
	}
}
