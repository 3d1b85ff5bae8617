// Package result owns what a load came to: the numbers, how they are said in text, JSON, NDJSON, an HdrHistogram log and an HTML
// page. It starts nothing and decides nothing; whoever ran the load says whether it is valid.
package result
