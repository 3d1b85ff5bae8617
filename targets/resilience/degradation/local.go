package degradation

import (
	"container/list"
	"sync"
	"time"

	"shakedown/internal/clock"
)

// local is a copy, inside the process, of what was read lately: least recently used goes first. It is what is left to
// answer from when everything behind the service fails.
type local struct {
	most    int
	keepFor time.Duration
	now     func() time.Duration

	mu    sync.Mutex
	order *list.List // of *copied, most recently used first
	byKey map[int64]*list.Element
}

type copied struct {
	key    int64
	body   string
	readAt time.Duration
}

func newLocal(most int, keepFor time.Duration) *local {
	return &local{most: most, keepFor: keepFor, now: clock.Now, order: list.New(), byKey: make(map[int64]*list.Element, most)}
}

func (l *local) put(key int64, body string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := &copied{key: key, body: body, readAt: l.now()}
	if e, ok := l.byKey[key]; ok {
		e.Value = c
		l.order.MoveToFront(e)
		return
	}
	l.byKey[key] = l.order.PushFront(c)
	if l.order.Len() > l.most {
		last := l.order.Back()
		l.order.Remove(last)
		delete(l.byKey, last.Value.(*copied).key)
	}
}

// get is the copy and its age, unless it is too old.
func (l *local) get(key int64) (body string, age time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.byKey[key]
	if !ok {
		return "", 0, false
	}
	c := e.Value.(*copied)
	if age = l.now() - c.readAt; age > l.keepFor {
		l.order.Remove(e)
		delete(l.byKey, key)
		return "", 0, false
	}
	l.order.MoveToFront(e)
	return c.body, age, true
}
