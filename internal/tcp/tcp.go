// Package tcp has what the generator and the proxy both ask of their TCP sockets.
package tcp

import "golang.org/x/sys/unix"

// Unpace makes a socket send without a pacer's timers, which BBR has, where that is the system's way to control congestion; a listening one hands it
// on to what it accepts. It is for connections within this machine, where there is no congestion to control. Every process may choose
// Reno (tcp(7)); should that fail, the socket is paced and works.
func Unpace(fd int) { _ = unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, "reno") }
