package loadrun

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/quick"
	"time"
)

// shaped is the shape that flags stand for, each "flag value".
func shaped(t *testing.T, flags ...string) (shape, error) {
	t.Helper()
	o := defaults()
	var given []string
	for _, f := range flags {
		flag, value, _ := strings.Cut(f, " ")
		d, _ := time.ParseDuration(value)
		switch flag {
		case "rate":
			o.Rate = value
		case "arrival":
			o.Arrival = value
		case "users":
			o.Users = int(value[0] - '0')
		case "think":
			o.Think = d
		case "duration":
			o.Duration = d
		case "warmup":
			o.Warmup = d
		default:
			t.Fatal(f)
		}
		given = append(given, flag)
	}
	return newShape(o.with(given...))
}

func TestAShapeIsWhatTheFlagsSay(t *testing.T) {
	for _, tc := range []struct {
		flags     string // split at commas
		says      string
		length    time.Duration
		scheduled int64 // -1: it is random
	}{
		{"", "poisson 100/s", 30 * time.Second, -1},
		{"rate 5000,duration 1s", "poisson 5000/s", time.Second, -1},
		{"rate 0.5,arrival constant,duration 10s", "constant 0.5/s", 10 * time.Second, 5},
		{"rate 100..300:10s", "ramp 100..300/s", 10 * time.Second, 2000},
		{"rate 100..300:10s,duration 15s", "ramp 100..300/s", 15 * time.Second, 2000 + 5*300},
		{"rate 100..300,duration 10s", "ramp 100..300/s", 10 * time.Second, 2000},
		{"rate 300..100,arrival ramp,duration 10s", "ramp 300..100/s", 10 * time.Second, 2000},
		{"rate 100..1000,arrival step,duration 4s", "step 100..1000/s", 4 * time.Second, 2200},
		{"rate 100..2000,arrival spike,duration 10s", "spike 100..2000/s", 10 * time.Second, 4800},
		{"users 8", "8 users", 30 * time.Second, 0},
		{"users 8,think 10ms", "8 users who think for 10ms", 30 * time.Second, 0},
	} {
		s, err := shaped(t, strings.FieldsFunc(tc.flags, func(r rune) bool { return r == ',' })...)
		if err != nil {
			t.Errorf("%s: %v", tc.flags, err)
			continue
		}
		if s.String() != tc.says || s.length != tc.length || s.warmup != DefaultWarmup {
			t.Errorf("%s: %v for %v after %v, want %v for %v after %v", tc.flags, s, s.length, s.warmup, tc.says, tc.length, DefaultWarmup)
		}
		n, err := s.scheduled(1)
		if err != nil || tc.scheduled >= 0 && n != tc.scheduled {
			t.Errorf("%s: %d arrivals, want %d (%v)", tc.flags, n, tc.scheduled, err)
		}
	}
}

func TestAShapeThatMakesNoSenseIsRefused(t *testing.T) {
	for flags, want := range map[string]string{
		"rate fast":                            `"fast" is not a number`,
		"rate -1":                              "must be 0 to",
		"rate NaN":                             "is not a number",
		"rate 1e9":                             "must be 0 to 10000000",
		"rate 0":                               "nothing would be sent",
		"rate 100..":                           `"" is not a number`,
		"rate 100..200..300":                   "is not a number",
		"rate 100..200:fast":                   `"fast" is not a time`,
		"rate 100..200:-3s":                    "is not a time",
		"rate 100..200:30s,duration 10s":       "takes longer than --duration 10s",
		"rate 100..200,arrival poisson":        "poisson arrivals have one rate",
		"rate 100,arrival spike":               "a spike goes between two rates",
		"rate 100..200:3s,arrival spike":       "that of a spike is --duration",
		"rate 100:3s":                          "only a ramp has a time",
		"arrival bursty":                       "there are constant, poisson, ramp",
		"arrival poisson:3":                    "only sine and trace",
		"users 8,rate 100":                     "--users is a closed loop",
		"users 8,arrival poisson":              "--users is a closed loop",
		"users 0":                              "--users 0: must be 1 to",
		"think 10ms":                           "--users 0",
		"users 8,think -1s":                    "--think -1s",
		"rate 10,duration -1s":                 "--duration -1s",
		"rate 10,duration 0s":                  "--duration 0s",
		"rate 10,warmup -1s":                   "--warmup -1s",
		"rate 100..300,arrival sine":           "once to twice the mean",
		"rate 300..100,arrival sine":           "once to twice the mean",
		"rate 100..200,arrival sine:often":     `"often" is not a period`,
		"arrival trace":                        "trace:FILE",
		"arrival trace:/does/not/exist":        "/does/not/exist",
		"arrival trace:/does/not/exist,rate 1": "--rate",
	} {
		if _, err := shaped(t, strings.Split(flags, ",")...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", flags, err, want)
		}
	}
}

func TestASineSwingsAroundItsMean(t *testing.T) {
	for flags, want := range map[string]string{
		"rate 100..150,arrival sine,duration 10s":    "sine around 100/s, up to 150/s, every 10s",
		"rate 100..150,arrival sine:2s,duration 10s": "sine around 100/s, up to 150/s, every 2s",
	} {
		s, err := shaped(t, strings.Split(flags, ",")...)
		if err != nil || s.String() != want || s.peak() != 150 {
			t.Errorf("%s: %v with peak %v, %v; want %s", flags, s, s.peak(), err, want)
		}
		if n, err := s.scheduled(1); err != nil || n != 1000 {
			t.Errorf("%s: %d arrivals, %v; whole periods have as many as their mean", flags, n, err)
		}
	}
}

func TestATraceIsReadFromItsFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "trace")
	if err := os.WriteFile(file, []byte("# a burst, and one more\n0\n0.1\n200ms\n3.5\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := shaped(t, "arrival trace:"+file)
	if err != nil || s.length != 3501*time.Millisecond || s.peak() != 3 {
		t.Errorf("lasts %v with a peak of %v/s, %v", s.length, s.peak(), err)
	}
	if n, err := s.scheduled(1); err != nil || n != 4 {
		t.Errorf("%d arrivals, %v, want 4", n, err)
	}
	s, err = shaped(t, "arrival trace:"+file, "duration 1s")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := s.scheduled(1); err != nil || n != 3 {
		t.Errorf("%d arrivals in the first second, %v, want 3", n, err)
	}
	for text, want := range map[string]string{"": "no arrivals", "1\nsoon\n": "line 2", "2\n1\n": "line 2"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := shaped(t, "arrival trace:"+file); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), file) {
			t.Errorf("%q: %v, want the file and %q", text, err, want)
		}
	}
}

func TestTheSameSeedSchedulesTheSame(t *testing.T) {
	property := func(seed uint64) bool {
		s, err := shaped(t, "rate 500", "duration 1s")
		if err != nil {
			t.Fatal(err)
		}
		a, erra := s.scheduled(seed)
		b, errb := s.scheduled(seed)
		return erra == nil && errb == nil && a == b && a > 0
	}
	if err := quick.Check(property, &quick.Config{MaxCount: 20}); err != nil {
		t.Error(err)
	}
}

func TestTheWarmUpIsNotMeasured(t *testing.T) {
	s, err := shaped(t, "rate 100..300:10s", "duration 15s", "warmup 3s")
	if err != nil {
		t.Fatal(err)
	}
	phases, err := s.phases(1)
	if err != nil || len(phases) != 3 {
		t.Fatalf("%d phases, %v; want a warm-up, the ramp and what follows", len(phases), err)
	}
	warm, ramp, hold := phases[0], phases[1], phases[2]
	if warm.Judged || !ramp.Judged || !hold.Judged || warm.End != 3*time.Second || ramp.End != 13*time.Second || hold.End != 18*time.Second {
		t.Errorf("phases %+v", phases)
	}
}
