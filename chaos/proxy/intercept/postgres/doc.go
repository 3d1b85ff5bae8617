// Package postgres owns the faults of PostgreSQL's frontend/backend protocol 3: it follows a connection message by message,
// and answers, delays or cuts where a rule says so. It must never open a connection or wait; the proxy moves the bytes.
// Package proxy opens an Inspector for each link that speaks the protocol.
//
// A command that is to fail is replaced on its way to the server by one that is sure to fail there, and the server's error
// by the one that was asked for. So it is the server itself that aborts the transaction, skips to the next Sync and says
// ReadyForQuery with the right status, whatever was pipelined before and after.
//
// The protocol is that of "Frontend/Backend Protocol" in PostgreSQL's manual.
package postgres
