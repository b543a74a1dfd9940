package fargate

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFaultFormsAreThoseThatParseFaultsTakes(t *testing.T) {
	t.Parallel()
	list := strings.NewReplacer("TIME", "30s", "LIMIT", "4").Replace(strings.Join(FaultForms(), ","))
	if faults, err := ParseFaults(list); err != nil || len(faults) != len(faultForms) {
		t.Errorf("of %s: %v, %v", list, faults, err)
	}
}

func TestParseFaults(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		list string
		want []Fault
		err  string
	}{
		"an empty list has none": {list: " , "},
		"each kind of the table": {
			list: "no-capacity:2, no-capacity-on-demand:1,interrupt@30s:1,start-failure:1,quota:4,throttle:5,lost-answer:1,lost-event:3,duplicate-event,late-event@10s",
			want: []Fault{
				{Name: "no-capacity", Count: 2},
				{Name: "no-capacity-on-demand", Count: 1},
				{Name: "interrupt", Delay: 30 * time.Second, Count: 1},
				{Name: "start-failure", Count: 1},
				{Name: "quota", Count: 4},
				{Name: "throttle", Count: 5},
				{Name: "lost-answer", Count: 1},
				{Name: "lost-event", Count: 3},
				{Name: "duplicate-event"},
				{Name: "late-event", Delay: 10 * time.Second},
			},
		},
		"every problem is named": {
			list: "nothing:1,interrupt:x,throttle@1s:0,late-event@soon,quota,interrupt@-1s",
			err: `fault "nothing:1": there is no such fault; there are no-capacity, no-capacity-on-demand, interrupt, start-failure, quota, throttle, lost-answer, lost-event, duplicate-event, late-event
fault "interrupt:x": say when, as in interrupt@30s
"x" is not a count of 1 or more
fault "throttle@1s:0": throttle takes no time
"0" is not a count of 1 or more
fault "late-event@soon": "soon" is not a time such as 30s
fault "quota": say the limit, as in quota:4
fault "interrupt@-1s": "-1s" is not a time such as 30s`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := ParseFaults(test.list)
			if diff := cmp.Diff(test.err, errorText(err)); diff != "" {
				t.Error(diff)
			}
			if err == nil && !cmp.Equal(test.want, got) {
				t.Error(cmp.Diff(test.want, got))
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func FuzzParseFaults(f *testing.F) {
	f.Add("no-capacity:2,interrupt@30s:1")
	f.Fuzz(func(t *testing.T, list string) {
		faults, err := ParseFaults(list)
		if err == nil && len(faults) > strings.Count(list, ",")+1 {
			t.Errorf("%d faults of %q", len(faults), list)
		}
	})
}

func TestFaultsOfEvents(t *testing.T) {
	t.Parallel()
	running, stopped := exits("0")[0], exits("0")[1]
	tests := map[string]struct {
		inject string
		at     map[time.Duration][]seen // what the outbox has then
	}{
		"lost-event drops so many":             {"lost-event:1", map[time.Duration][]seen{time.Second: {stopped}}},
		"lost-event without a count drops all": {"lost-event", map[time.Duration][]seen{time.Second: nil}},
		"duplicate-event sends so many twice":  {"duplicate-event:1", map[time.Duration][]seen{time.Second: {running, running, stopped}}},
		"late-event holds so many back, and one that is behind it overtakes": {"late-event@10s:1", map[time.Duration][]seen{
			time.Second: {stopped}, 11 * time.Second: {stopped, running},
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := setup(t, Options{}, nil)
				w.register(nil)
				w.inject(test.inject)
				w.start()
				w.run(nil)
				began := time.Now()
				for _, after := range []time.Duration{time.Second, 11 * time.Second} {
					settle(after - time.Since(began))
					want, ok := test.at[after]
					if diff := cmp.Diff(want, w.events()); ok && diff != "" {
						t.Errorf("after %v: %s", after, diff)
					}
				}
			})
		})
	}
}

func TestUpReplacesTheFaults(t *testing.T) {
	t.Parallel()
	w := setup(t, Options{}, nil)
	w.register(nil)
	w.inject("no-capacity")
	w.inject("throttle:1")
	if got := outcome(w.RunTask(t.Context(), spotRequest())); got != "ThrottlingException: Rate exceeded" {
		t.Errorf("the answer is %s", got)
	}
	w.inject("")
	w.run(nil)
}
