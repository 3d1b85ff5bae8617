package stack

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync"
)

// ports are those that servers of this process were given, for servers that listen on no unix socket.
type ports struct {
	mu    sync.Mutex
	given map[int]bool
}

var loopback = ports{given: map[int]bool{}}

const (
	lowestPort = 10000
	// usualRange is where ip_local_port_range begins on a Linux that nobody has tuned (ip(7)).
	usualRange = 32768
	portTries  = 100
)

// take finds a port of 127.0.0.1 that nobody listens on. It lies below those that the kernel hands out by itself, to connections
// and to listeners that want any: so it is still free when the server starts, and when it starts again after it was killed.
func (p *ports) take() (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	above := firstLocalPort()
	for range portTries {
		port := lowestPort + rand.IntN(above-lowestPort)
		if p.given[port] {
			continue
		}
		ln, err := net.Listen("tcp", loopbackAddr(port))
		if err != nil {
			continue
		}
		if err := ln.Close(); err != nil {
			return 0, err
		}
		p.given[port] = true
		return port, nil
	}
	return 0, fmt.Errorf("no port of 127.0.0.1 from %d to %d is free", lowestPort, above-1)
}

// give takes ports back.
func (p *ports) give(back ...int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, port := range back {
		delete(p.given, port)
	}
}

// takePorts takes n ports, or none.
func takePorts(n int) ([]int, error) {
	var taken []int
	for range n {
		port, err := loopback.take()
		if err != nil {
			loopback.give(taken...)
			return nil, err
		}
		taken = append(taken, port)
	}
	return taken, nil
}

func loopbackAddr(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// firstLocalPort is the first that the kernel hands out by itself.
func firstLocalPort() int {
	raw, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	var first, last int
	if err == nil {
		_, err = fmt.Sscan(string(raw), &first, &last)
	}
	if err != nil || first <= lowestPort+portTries {
		return usualRange
	}
	return first
}

// errNoHost is why a server cannot be on a host of its own.
var errNoHost = errors.New("it listens on no unix socket, by which the harness reaches servers on hosts of their own; leave isolation out")
