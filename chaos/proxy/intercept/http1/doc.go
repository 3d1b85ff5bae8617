// Package http1 owns the faults of HTTP/1.0 and 1.1: it follows a connection request by request and answer by answer, and
// answers, delays or cuts where a rule says so. It must never open a connection or wait; the proxy moves the bytes. Package
// proxy opens an Inspector for each link that speaks the protocol.
//
// Of a message only the lines are kept while they are read; bodies stream through. The framing is that of RFC 9112. TLS,
// HTTP/2 and what follows CONNECT or an upgrade pass unseen.
package http1
