// Package toxiproxy answers Toxiproxy's v2 HTTP API (https://github.com/Shopify/toxiproxy), so that its clients drive a
// proxy of ours unchanged: the same resources, JSON, status codes and errors. It turns Toxiproxy's proxies into links and
// its toxics into effects, and leaves all that happens to bytes to package proxy. It decides nothing about who may call;
// package daemon, which serves it, does.
//
// Links that were made in other ways are proxies here too, and those that were deleted are gone. Effects that are no
// toxics are neither shown nor touched, and end with the link when its proxy is disabled or moved.
// docs/toxiproxy.md lists what a client may see that differs.
package toxiproxy
