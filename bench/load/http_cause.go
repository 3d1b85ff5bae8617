package load

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"syscall"
)

// statusCause is what is said of a status that is not OK; there are few of them.
func statusCause(status int) string { return "status " + strconv.Itoa(status) }

// cause is an error of net/http in a few words: those of package wire where both meet it. sent says that the request may have left.
func cause(err error, sent bool) string {
	doing := "connect"
	if sent {
		doing = "read"
	}
	var errno syscall.Errno
	var certificate *tls.CertificateVerificationError
	var network *net.OpError
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		if sent {
			return "timeout"
		}
		return "timeout without a connection"
	case errors.Is(err, context.Canceled):
		return "cut off"
	case errors.As(err, &errno):
		return doing + ": " + errno.Error()
	case errors.As(err, &certificate):
		return "connect: certificate not trusted"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "closed without a whole answer"
	case errors.As(err, &network) && network.Op == "dial":
		return "connect failed"
	case sent:
		return "malformed answer"
	default:
		return "no connection"
	}
}
