package jobstest_test

import (
	"reflect"
	"testing"

	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/jobs/jobstest"
)

// A field that Full forgets is a field that a store may lose unnoticed.
func TestFullSetsEveryField(t *testing.T) {
	t.Parallel()
	wantSet(t, "job", reflect.ValueOf(jobstest.Full("job-1")))
}

func wantSet(t *testing.T, path string, value reflect.Value) {
	t.Helper()
	if value.IsZero() {
		t.Errorf("%s is not set", path)
		return
	}
	switch value.Kind() {
	case reflect.Pointer:
		if value.Elem().Kind() == reflect.Struct {
			wantSet(t, path, value.Elem())
		}
	case reflect.Slice:
		if value.Type().Elem().Kind() == reflect.Struct && value.Type().Elem() != reflect.TypeFor[jobs.EnvVar]() {
			wantSet(t, path+"[0]", value.Index(0))
		}
	case reflect.Struct:
		if value.Type() == reflect.TypeFor[jobs.Time]() {
			return
		}
		for field, v := range value.Fields() {
			wantSet(t, path+"."+field.Name, v)
		}
	}
}
