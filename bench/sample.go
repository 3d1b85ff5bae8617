package bench

import "time"

// A Sample is what became of one arrival. Times are offsets from the trial's one monotonic zero.
type Sample struct {
	Seq     uint64
	Op      OpID
	Outcome Outcome
	Flags   Flags
	Due     time.Duration // when it should have left; in closed loop, when its user was ready
	Sent    time.Duration // when it did leave; zero for Unsent
	Done    time.Duration // when it was answered, or given up
	Key     int64
	// Value is what was read or written, as the operation defines it; caches state the age of the answer in µs.
	Value int64
}

// Response is the response time, from due to done: what the user waits.
func (s Sample) Response() time.Duration { return s.Done - s.Due }

// Service is the service time, from sent to done: what a closed-loop generator would have reported.
func (s Sample) Service() time.Duration { return s.Done - s.Sent }

// Lag is how late the generator sent the request.
func (s Sample) Lag() time.Duration { return s.Sent - s.Due }

// A Span is an interval of work inside a service that no single answer shows, such as the rebuild of a cached
// value. Services write spans; times are offsets from the trial's zero once recorded.
type Span struct {
	Instance string        `json:"instance"`
	Kind     string        `json:"kind"` // "rebuild:hot"
	Key      int64         `json:"key"`
	Start    time.Duration `json:"start_ns"`
	End      time.Duration `json:"end_ns"`
	Value    float64       `json:"value,omitempty"`
}

// A Ledger counts arrivals by what became of them.
type Ledger struct {
	Scheduled int64 `json:"scheduled"`
	OK        int64 `json:"ok"`
	Degraded  int64 `json:"degraded"`
	Refused   int64 `json:"refused"`
	Failed    int64 `json:"failed"`
	Unsure    int64 `json:"unsure"`
	Unsent    int64 `json:"unsent"`
}

// Add counts one arrival that ended so; it does not count it as scheduled, which happens when it is due.
func (l *Ledger) Add(o Outcome) {
	switch o {
	case OK:
		l.OK++
	case Degraded:
		l.Degraded++
	case Refused:
		l.Refused++
	case Failed:
		l.Failed++
	case Unsure:
		l.Unsure++
	case Unsent:
		l.Unsent++
	}
}

// Ended is the number of arrivals whose outcome was counted.
func (l Ledger) Ended() int64 {
	return l.OK + l.Degraded + l.Refused + l.Failed + l.Unsure + l.Unsent
}

// Balances says whether every scheduled arrival ended in exactly one outcome.
func (l Ledger) Balances() bool { return l.Scheduled == l.Ended() }
