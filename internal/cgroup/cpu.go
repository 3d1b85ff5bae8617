package cgroup

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// period is the time that a quota of the processor is for. It is the kernel's default: a group that has used up its quota
// stands still until the next period begins.
const period = 100 * time.Millisecond

// CPUUse is what the processor controller says of a group.
type CPUUse struct {
	Cores       float64       // the quota; 0 means none
	Periods     int64         // in which the group wanted to run
	Throttled   int64         // of these, in which it used up its quota
	ThrottledBy time.Duration // how long its processes were kept from running, summed over processors
}

// LimitCPU gives the group a quota of so many cores, 0.01 at least; 0 means none.
func (g *Group) LimitCPU(cores float64) error {
	p, err := g.place(CPU)
	if err != nil {
		return err
	}
	quota := strconv.FormatInt(int64(math.Round(cores*float64(period.Microseconds()))), 10)
	micros := strconv.FormatInt(period.Microseconds(), 10)
	if p.Version == 2 {
		if cores == 0 {
			quota = "max"
		}
		return write(p.Dir, "cpu.max", quota+" "+micros)
	}
	if cores == 0 {
		quota = "-1"
	}
	return errors.Join(write(p.Dir, "cpu.cfs_period_us", micros), write(p.Dir, "cpu.cfs_quota_us", quota))
}

// CPU reads the quota and what it did, cumulatively since the group was made.
func (g *Group) CPU() (CPUUse, error) {
	p, err := g.place(CPU)
	if err != nil {
		return CPUUse{}, err
	}
	var u CPUUse
	if u.Cores, err = quota(p); err != nil {
		return CPUUse{}, err
	}
	stat, err := numbers(p.Dir, "cpu.stat")
	if err != nil {
		return CPUUse{}, err
	}
	u.Periods, u.Throttled = stat["nr_periods"], stat["nr_throttled"]
	u.ThrottledBy = time.Duration(stat["throttled_time"]) // version 1, in ns
	if p.Version == 2 {
		u.ThrottledBy = time.Duration(stat["throttled_usec"]) * time.Microsecond
	}
	return u, nil
}

func quota(p Place) (cores float64, err error) {
	var text string
	if p.Version == 2 {
		text, err = read(p.Dir, "cpu.max")
	} else {
		var q, per string
		var err1, err2 error
		q, err1 = read(p.Dir, "cpu.cfs_quota_us")
		per, err2 = read(p.Dir, "cpu.cfs_period_us")
		text, err = q+" "+per, errors.Join(err1, err2)
	}
	if err != nil {
		return 0, err
	}
	q, per, _ := strings.Cut(text, " ")
	if q == "max" || q == "-1" {
		return 0, nil
	}
	micros, err1 := strconv.ParseFloat(q, 64)
	of, err2 := strconv.ParseFloat(per, 64)
	if err := errors.Join(err1, err2); err != nil || of == 0 {
		return 0, fmt.Errorf("control group %s: quota %q: %w", p.Dir, text, err)
	}
	return micros / of, nil
}
