package main

import "shakedown/internal/benchmark"

func main() {
	benchmark.Command[*rig]{
		Name: "chaosbench", Does: "compares proxies on this machine", Start: start,
		Tools: "where the pinned toxiproxy is: a `directory`",
		Parts: map[string]func([]string) error{"serve": serveMain},
		Page:  benchmark.Page{Title: "The fault proxy beside its peers", Script: "bench-chaos", Intro: intro},
		Experiments: []benchmark.Experiment[*rig]{
			{Name: "rate", About: "redis-benchmark through each proxy: rate, and what a message costs", Run: rate},
			{Name: "alone", About: "the round trip of one connection", Run: alone},
			{Name: "bulk", About: "one stream as fast as it goes", Run: bulk},
			{Name: "exact", About: "20 ms asked for, and what was achieved", Run: exact},
			{Name: "filter", About: "what following a protocol costs, without a rule and with one", Run: filtered},
			{Name: "delayed", About: "what a delay of 50 ms takes from the throughput", Run: delayed},
		},
	}.Main()
}

const intro = `Client, proxy and server share the machine; every proxy leads to the same servers, over TCP on loopback, and the routes take turns within
each round. Numbers are medians of the rounds, with the least and the largest in brackets; ratios are taken round by round.`
