// Command static is a program without the C library.
package main

func main() {}
