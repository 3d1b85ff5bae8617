// Package listappend owns the judgement of histories in which transactions append to lists and read them. A list that was read
// tells the order of all appends to it, and which of them the reader saw, so that the dependencies between transactions need not
// be guessed: what happened is a graph, and an isolation level is a sort of cycle that must not be in it (A. Adya, "Weak
// Consistency", 1999; K. Kingsbury, P. Alvaro, "Elle", VLDB 14(3), 2020). The package is pure; it never knows which database
// answered, or what it promised.
package listappend
