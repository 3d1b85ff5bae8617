package proxy

import "time"

// A timer is one time at which its owner wants to be called. It belongs to a loop; at most one time is set.
type timer struct {
	at    time.Duration
	pos   int // in the heap, plus one; 0 is not in it
	owner interface{ alarmed() }
}

// timers are a heap by time.
type timers []*timer

// set calls the owner at the given time, and not at any time set before; never is no time.
func (h *timers) set(t *timer, at time.Duration) {
	switch {
	case at == never:
		h.drop(t)
		return
	case t.pos == 0:
		*h = append(*h, t)
		t.pos = len(*h)
	case t.at == at:
		return
	}
	t.at = at
	h.fix(t.pos - 1)
}

// drop forgets the time.
func (h *timers) drop(t *timer) {
	if t.pos == 0 {
		return
	}
	i, last := t.pos-1, len(*h)-1
	t.pos = 0
	moved := (*h)[last]
	(*h)[last], *h = nil, (*h)[:last]
	if i < last {
		(*h)[i], moved.pos = moved, i+1
		h.fix(i)
	}
}

// next is the first time, or never.
func (h timers) next() time.Duration {
	if len(h) == 0 {
		return never
	}
	return h[0].at
}

// due takes the first timer out if its time has come, and returns it.
func (h *timers) due(now time.Duration) *timer {
	if len(*h) == 0 || (*h)[0].at > now {
		return nil
	}
	t := (*h)[0]
	h.drop(t)
	return t
}

// fix moves the timer at i to where it belongs.
func (h timers) fix(i int) {
	for i > 0 && h[i].at < h[(i-1)/2].at {
		h.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
	for {
		least := i
		for _, child := range [...]int{2*i + 1, 2*i + 2} {
			if child < len(h) && h[child].at < h[least].at {
				least = child
			}
		}
		if least == i {
			return
		}
		h.swap(i, least)
		i = least
	}
}

func (h timers) swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].pos, h[j].pos = i+1, j+1
}
