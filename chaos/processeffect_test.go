package chaos_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"shakedown/chaos"
	"shakedown/internal/units"
)

// fakeSubject is a process in virtual time. Its faults are what the tests are about.
type fakeSubject struct {
	chaos.Subject
	name    string
	ignores bool // limits are accepted, and not kept
	sticks  bool // limits are kept for good
	used    bool // what is limited is met

	mu            sync.Mutex // of what changes while a fault acts by itself
	fails         string
	gone          bool
	cores         float64
	bytes         int64
	files         int
	skew          chaos.Skew
	kills, starts int
}

var errToday = errors.New("not today")

func (p *fakeSubject) may(what string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fails == what {
		return errToday
	}
	return nil
}

// fail makes it fail at something, or at nothing.
func (p *fakeSubject) fail(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fails = what
}

// life is what has become of it.
func (p *fakeSubject) life() (gone bool, kills, starts int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.gone, p.kills, p.starts
}

func (p *fakeSubject) Name() string { return p.name }

func (p *fakeSubject) State(context.Context) (chaos.State, error) {
	if gone, _, _ := p.life(); gone {
		return chaos.Gone, nil
	}
	return chaos.Running, nil
}

func (p *fakeSubject) Kill(context.Context) error {
	p.mu.Lock()
	p.gone = true
	p.kills++
	p.mu.Unlock()
	return p.may("kill")
}

func (p *fakeSubject) Start(context.Context) error {
	if err := p.may("start"); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone = false
	p.starts++
	return nil
}

func (p *fakeSubject) Answers(context.Context) error {
	if gone, _, _ := p.life(); gone {
		return errors.New("connection refused")
	}
	return nil
}

func (p *fakeSubject) Terminate(ctx context.Context, _ chaos.Signal, _ time.Duration) (chaos.Ending, error) {
	return chaos.Ending{How: "exit status 0"}, errors.Join(p.Kill(ctx), p.may("terminate"))
}

func (p *fakeSubject) LimitCPU(_ context.Context, cores float64) error {
	if keeps := p.ignores || p.sticks && cores == 0; !keeps {
		p.cores = cores
	}
	return p.may("limit")
}

func (p *fakeSubject) CPU(context.Context) (chaos.CPUUse, error) {
	use := chaos.CPUUse{Cores: p.cores}
	if p.used && p.cores > 0 {
		use.Throttled = 5
	}
	return use, nil
}

func (p *fakeSubject) LimitMemory(_ context.Context, bytes int64) error {
	if keeps := p.ignores || p.sticks && bytes == 0; !keeps {
		p.bytes = bytes
	}
	return p.may("limit")
}

func (p *fakeSubject) Memory(context.Context) (chaos.MemoryUse, error) {
	return chaos.MemoryUse{Limit: p.bytes, Met: p.used && p.bytes > 0}, nil
}

func (p *fakeSubject) LimitFiles(_ context.Context, number, spare int) error {
	if !p.ignores {
		p.files = max(number, 10+spare)
	}
	return p.may("limit")
}

func (p *fakeSubject) UnlimitFiles(context.Context) error {
	if p.sticks {
		return errToday
	}
	p.files = 1024
	return nil
}

func (p *fakeSubject) Files(context.Context) ([]chaos.FileUse, error) {
	use := chaos.FileUse{Limit: p.files, Open: 10, Spare: p.files - 10}
	if p.used && p.files < 1024 {
		use.Open, use.Spare = p.files, 0
	}
	return []chaos.FileUse{use}, nil
}

func (p *fakeSubject) CanSkew() error { return p.may("skew at all") }

func (p *fakeSubject) Skew(_ context.Context, s chaos.Skew) error {
	if keeps := p.ignores || p.sticks && (s == chaos.Skew{}); !keeps {
		p.skew = s
	}
	return p.may("limit")
}

func (p *fakeSubject) Time(context.Context) (time.Time, error) {
	now := time.Now()
	return now.Add(p.skew.Ahead(now)), nil
}

// crew is a surface with two processes.
type crew []*fakeSubject

func (crew) Links(string) []chaos.Link { return nil }

func (c crew) Processes(name string) (found []chaos.Process) {
	for _, p := range c {
		if name == "redis" {
			found = append(found, p)
		}
	}
	return found
}

func twoSubjects() (crew, *fakeSubject, *fakeSubject) {
	a, b := &fakeSubject{name: "redis-0", files: 1024, used: true}, &fakeSubject{name: "redis-1", files: 1024, used: true}
	return crew{a, b}, a, b
}

// limits are the faults that leave a process running.
var limits = []chaos.Fault{
	&chaos.CPUQuota{Process: "redis", Cores: 0.5}, &chaos.MemoryLimit{Process: "redis", Bytes: 1 << 26},
	&chaos.FDLimit{Process: "redis", Spare: 5}, &chaos.ClockSkew{Process: "redis", Offset: -units.Second, Rate: 2},
}

// ends are the faults that end a process.
var ends = []chaos.Fault{
	&chaos.Terminate{Process: "redis"}, &chaos.CrashLoop{Process: "redis", Up: units.Second, Down: units.Second},
	&chaos.SlowStart{Process: "redis", AtLeast: 5 * units.Second},
}

// each runs a claim about every one of the faults in virtual time.
func each(t *testing.T, faults []chaos.Fault, claim func(*testing.T, chaos.Fault)) {
	t.Helper()
	for _, f := range faults {
		t.Run(f.Kind(), func(t *testing.T) { synctest.Test(t, func(t *testing.T) { claim(t, f) }) })
	}
}

func TestALimitThatTheProcessDoesNotKeepIsNotSeen(t *testing.T) {
	each(t, limits, func(t *testing.T, f chaos.Fault) {
		s, _, b := twoSubjects()
		b.ignores = true
		in, err := f.Inject(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		if e := in.Landed(); e.Seen {
			t.Errorf("landed: %s", e)
		}
		if _, err := in.Heal(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestALimitThatStaysIsAnErrorUntilItGoes(t *testing.T) {
	each(t, limits, func(t *testing.T, f chaos.Fault) {
		s, a, _ := twoSubjects()
		in, err := f.Inject(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) // virtual
		a.sticks = true
		if _, err := in.Heal(t.Context()); err == nil || !strings.Contains(err.Error(), "redis-0: ") || strings.Contains(err.Error(), "redis-1") {
			t.Errorf("healing what stays: %v", err)
		}
		a.sticks = false
		if e, err := in.Heal(t.Context()); err != nil || !e.Seen || !strings.Contains(e.What, "redis-1") {
			t.Errorf("healing again: %s, %v", e, err)
		}
	})
}

func TestAnInjectionThatFailsOnOneProcessIsTakenBackOnAll(t *testing.T) {
	each(t, append(limits, ends...), func(t *testing.T, f chaos.Fault) {
		s, a, b := twoSubjects()
		b.fails = map[bool]string{true: "limit", false: "kill"}[a.limited(f)]
		in, err := f.Inject(t.Context(), s)
		if err == nil || in != nil || !strings.Contains(err.Error(), "redis-1: not today") {
			t.Errorf("got %v, %v", in, err)
		}
		for _, p := range s {
			if p.gone || p.cores != 0 || p.bytes != 0 || p.files != 1024 || p.skew != (chaos.Skew{}) {
				t.Errorf("%s is left gone %v, %g cores, %d bytes, %d files, %v", p.name, p.gone, p.cores, p.bytes, p.files, p.skew)
			}
		}
	})
}

// limited says whether the fault is one of limits.
func (*fakeSubject) limited(f chaos.Fault) bool {
	for _, l := range limits {
		if l == f {
			return true
		}
	}
	return false
}

func TestWhatDoesNotRunIsNotLimited(t *testing.T) {
	each(t, append(limits, ends...), func(t *testing.T, f chaos.Fault) {
		s, _, b := twoSubjects()
		b.gone = true
		if in, err := f.Inject(t.Context(), s); err == nil || in != nil || !strings.Contains(err.Error(), `redis-1 is "gone"`) {
			t.Errorf("got %v, %v", in, err)
		}
	})
}

func TestALimitThatNobodyMetIsNotSeen(t *testing.T) {
	each(t, limits[:3], func(t *testing.T, f chaos.Fault) {
		s, a, b := twoSubjects()
		a.used, b.used = false, false
		in, err := f.Inject(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		if e, err := in.Heal(t.Context()); err != nil || e.Seen {
			t.Errorf("%s, %v", e, err)
		}
	})
}

func TestACrashLoopGoesOnUntilItIsHealed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, a, _ := twoSubjects()
		in, err := ends[1].Inject(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(10*time.Second + time.Millisecond) // one second down, one up
		e, err := in.Heal(t.Context())
		gone, kills, starts := a.life()
		if err != nil || !e.Seen || gone || kills != 6 || starts != 6 {
			t.Errorf("%s, %v: %d kills and %d starts", e, err, kills, starts)
		}
		time.Sleep(time.Minute)
		if _, again, _ := a.life(); again != kills {
			t.Error("it goes on")
		}
	})
}

func TestALoopWhoseStartsFailIsNoLoopAndSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, a, b := twoSubjects()
		in, err := ends[1].Inject(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		a.fail("start")
		b.fail("start")
		time.Sleep(10 * time.Second)
		if _, err := in.Heal(t.Context()); err == nil || !strings.Contains(err.Error(), "not today") {
			t.Errorf("healing what does not start: %v", err)
		}
		a.fail("")
		b.fail("")
		if e, err := in.Heal(t.Context()); err != nil || e.Seen || a.gone || !strings.Contains(e.What, "a start failed: not today") {
			t.Errorf("%s, %v", e, err)
		}
	})
}

func TestAStartIsHeldBackAndHealingNoLongerDoes(t *testing.T) {
	for name, after := range map[string]time.Duration{"healed early": 2 * time.Second, "healed late": 20 * time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, a, _ := twoSubjects()
				in, err := ends[2].Inject(t.Context(), s)
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(after)
				early := after < 5*time.Second
				if gone, _, _ := a.life(); gone != early {
					t.Errorf("after %v it is gone: %v", after, gone)
				}
				e, err := in.Heal(t.Context())
				gone, _, starts := a.life()
				if err != nil || !e.Seen || gone || starts != 1 || strings.Contains(e.What, "held back") != early {
					t.Errorf("%s, %v, %d starts", e, err, starts)
				}
			})
		})
	}
}

func TestProcessFaultsReadAndSayThemselves(t *testing.T) {
	for text, want := range map[string]string{
		`{"kind":"terminate","process":"redis"}`:                                "SIGTERM to redis, and SIGKILL after 10s",
		`{"kind":"terminate","process":"postgres","signal":"INT","grace":"2s"}`: "SIGINT to postgres, and SIGKILL after 2s",
		`{"kind":"crash_loop","process":"service","up":"2s","down":"1s"}`:       "crash loop of service, 2s up and 1s down",
		`{"kind":"slow_start","process":"redis","at_least":"5s"}`:               "start of redis takes 5s",
		`{"kind":"cpu_quota","process":"redis","cores":0.25}`:                   "quota of 0.25 cores for redis",
		`{"kind":"cpu_burn","process":"redis","processes":3}`:                   "3 busy processes beside redis",
		`{"kind":"memory_limit","process":"redis","bytes":67108864}`:            "limit of 64 MiB for redis",
		`{"kind":"fd_limit","process":"redis"}`:                                 "0 descriptors left for redis",
		`{"kind":"fd_limit","process":"redis","limit":64}`:                      "limit of 64 descriptors for redis",
		`{"kind":"clock_skew","process":"redis","offset":"-5s"}`:                "clock of redis 5s behind",
		`{"kind":"clock_skew","process":"redis","offset":"1h0m0s","rate":1.01}`: "clock of redis 1h0m0s ahead at 1.01 times its speed",
		`{"kind":"terminate","process":"redis","signal":"KILL"}`:                "! does not ask for an end",
		`{"kind":"terminate","process":"redis","grace":"2h"}`:                   "! at most a minute",
		`{"kind":"crash_loop","process":"redis"}`:                               "! up is 0s",
		`{"kind":"crash_loop","process":"redis","up":"1s","down":"-1s"}`:        "! down is -1s",
		`{"kind":"slow_start","process":"redis"}`:                               "! at_least is 0s",
		`{"kind":"cpu_quota","process":"redis"}`:                                "! cores is 0",
		`{"kind":"cpu_burn","process":"redis"}`:                                 "! processes is 0",
		`{"kind":"memory_limit","process":"redis","bytes":4096}`:                "! at least a mebibyte",
		`{"kind":"fd_limit","process":"redis","limit":5,"spare":5}`:             "! exclude each other",
		`{"kind":"clock_skew","process":"redis"}`:                               "! the clock would be right",
		`{"kind":"clock_skew","process":"redis","offset":"1ms"}`:                "! between 10ms and ten years",
		`{"kind":"clock_skew","process":"redis","rate":100}`:                    "! between 0.1 and 10",
		`{"kind":"clock_skew","offset":"1s"}`:                                   "! process is missing",
	} {
		wrong, ok := strings.CutPrefix(want, "! ")
		if !ok {
			says(t, text, want)
			continue
		}
		var fs chaos.Faults
		if err := json.Unmarshal([]byte("["+text+"]"), &fs); err == nil || !strings.Contains(err.Error(), wrong) {
			t.Errorf("%s: %v, want %q", text, err, wrong)
		}
	}
}

func TestAProcessIsStartedWithWhatItsFaultsWant(t *testing.T) {
	faults := chaos.Faults{
		&chaos.CPUQuota{Process: "service", Cores: 1}, &chaos.ClockSkew{Process: "redis", Offset: units.Second},
		&chaos.MemoryLimit{Process: "service-1", Bytes: 1 << 20}, &chaos.Kill{Process: "postgres"},
	}
	for _, tc := range []struct {
		process, role string
		want          chaos.Arrangement
	}{
		{"service-0", "service", chaos.Arrangement{CPUGroup: true}},
		{"service-1", "service", chaos.Arrangement{CPUGroup: true, MemoryGroup: true}},
		{"redis", "redis", chaos.Arrangement{Clock: true}},
		{"postgres", "postgres", chaos.Arrangement{}},
	} {
		if got := chaos.ArrangedFor(faults, tc.process, tc.role); got != tc.want {
			t.Errorf("%s: %+v, want %+v", tc.process, got, tc.want)
		}
	}
}
