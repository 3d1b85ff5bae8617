package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"
)

// What a client of the benchmark's own server wants is its first byte.
const (
	echoes = 'e' // every byte back
	sinks  = 's' // none
	asks   = 'q' // how many a sink got, once it has ended, and how many nanoseconds were between the first and the last
)

// serveMain is the benchmark's own server. It says where it listens, and serves until it is killed.
func serveMain([]string) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if _, err := fmt.Println(ln.Addr()); err != nil {
		return err
	}
	sunk := make(chan []byte, 1)
	for {
		c, err := ln.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer func() { _ = c.Close() }()
			var want [1]byte
			if _, err := io.ReadFull(c, want[:]); err != nil {
				return
			}
			switch want[0] {
			case sinks:
				sunk <- sink(c)
			case asks:
				_, _ = c.Write(<-sunk) // or nobody listens any more
			default:
				echo(c)
			}
		}()
	}
}

// echo reads and writes, as a server does; io.Copy would leave both to the kernel.
func echo(c net.Conn) {
	b := make([]byte, 16<<10)
	for {
		n, err := c.Read(b)
		if n > 0 {
			if _, err := c.Write(b[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// sink returns what it has to say when it is asked. It does not say so on its own connection, because Toxiproxy closes both
// directions when one has ended.
func sink(c net.Conn) []byte {
	b := make([]byte, 64<<10)
	var bytes uint64
	var first, last time.Time
	for {
		n, err := c.Read(b)
		if n > 0 {
			if last = time.Now(); bytes == 0 {
				first = last
			}
			bytes += uint64(n)
		}
		if err != nil {
			return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, bytes), uint64(last.Sub(first)))
		}
	}
}
