package run

import (
	"errors"
	"net"
	"sync"
)

// joined is several listeners as one. Its address is that of the first.
type joined struct {
	all      []net.Listener
	accepted chan accepted
	closed   chan struct{}
	close    sync.Once
}

type accepted struct {
	conn net.Conn
	err  error
}

// join accepts from all until it is closed.
func join(all ...net.Listener) net.Listener {
	j := &joined{all: all, accepted: make(chan accepted), closed: make(chan struct{})}
	for _, ln := range all {
		go j.accept(ln)
	}
	return j
}

// accept hands over what one listener accepts, or why it no longer can, until the whole is closed.
func (j *joined) accept(ln net.Listener) {
	for {
		c, err := ln.Accept()
		select {
		case j.accepted <- accepted{c, err}:
		case <-j.closed:
			if c != nil {
				_ = c.Close()
			}
			return
		}
	}
}

// Accept waits for the next connection of any.
func (j *joined) Accept() (net.Conn, error) {
	select {
	case a := <-j.accepted:
		return a.conn, a.err
	case <-j.closed:
		return nil, net.ErrClosed
	}
}

// Close closes all. Closing twice is an error, as of any listener.
func (j *joined) Close() error {
	err := net.ErrClosed
	j.close.Do(func() {
		close(j.closed)
		var errs []error
		for _, ln := range j.all {
			errs = append(errs, ln.Close())
		}
		err = errors.Join(errs...)
	})
	return err
}

// Addr is the address of the first.
func (j *joined) Addr() net.Addr { return j.all[0].Addr() }
