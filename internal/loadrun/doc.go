// Package loadrun is `shakedown load`: from what was typed to a plan for package load, the checks that can be made before anything is
// sent, the calibration, and whether what came out may be believed. It knows no experiments and judges no pattern; the command calls it.
package loadrun
