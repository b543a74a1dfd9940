package spot

import "testing"

func TestParseSize(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cpu, memory string
		want        Size // zero: refused
	}{
		"the smallest size":                       {"256", "512", Size{256, 512}},
		"vCPU and GB as written at registration":  {".25 vCPU", "0.5GB", Size{256, 512}},
		"a quarter vCPU has no step of 512":       {"256", "1536", Size{}},
		"4 vCPU end at 30 GB":                     {"4096", "30720", Size{4096, 30720}},
		"4 vCPU with 32 GB do not exist":          {"4096", "32768", Size{}},
		"8 vCPU go in steps of 4 GB":              {"8192", "20480", Size{8192, 20480}},
		"8 vCPU have no step of 1 GB":             {"8192", "17408", Size{}},
		"16 vCPU with 120 GB, the largest":        {"16 vCPU", "120 GB", Size{16384, 122880}},
		"32 vCPU do not exist":                    {"32768", "245760", Size{}},
		"three quarters of a vCPU do not exist":   {"768", "2048", Size{}},
		"words are refused":                       {"many", "much", Size{}},
		"an empty memory is refused":              {"256", "", Size{}},
		"fractions of a unit are refused":         {"0.0001 vCPU", "512", Size{}},
		"a huge amount is refused, not converted": {"1e300 vCPU", "512", Size{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := ParseSize(c.cpu, c.memory)
			if got != c.want || (err != nil) != (c.want == Size{}) {
				t.Errorf("ParseSize(%q, %q) = %v, %v; want %v", c.cpu, c.memory, got, err, c.want)
			}
		})
	}
}
