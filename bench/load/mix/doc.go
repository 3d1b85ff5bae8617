// Package mix owns what a load asks for: a mix of operations with weights, whose texts hold places that every request fills anew.
// What a request asks is pure in the seed and the arrival's number. It never sends anything and never knows when; the clients of package load ask it.
package mix
