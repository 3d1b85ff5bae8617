// Package daemon owns the proxy that stands alone, `shakedown chaos serve`: Toxiproxy's API and ours on one address, who
// may call them, and which addresses links may have. It must never know what an effect or a toxic does. The proxy of a run
// is package api's.
//
// All that it does is bound to its process: links are sockets, and faults act on what passes through them. When the
// process ends, however it does, the kernel closes them all, and nothing is left to undo.
package daemon
