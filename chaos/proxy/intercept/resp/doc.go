// Package resp owns the faults of Redis' protocol, RESP2 and RESP3: it follows a connection command by command and reply by
// reply, and answers or delays where a rule says so. It must never open a connection or wait; the proxy moves the bytes.
// Package proxy opens an Inspector for each link that speaks the protocol.
//
// A command that is to fail never reaches the server, and its error takes its place among the replies, also in a pipeline.
// Within MULTI it makes EXEC fail with EXECABORT, as Redis' own refusals do: the server is told DISCARD.
//
// The protocol is that of https://redis.io/docs/latest/develop/reference/protocol-spec/.
package resp
