// Package record owns the run directory: one writer and one reader, and the types of what it holds. It never
// interprets what it stores. The run directory is the only thing that passes from running to judging.
package record
