// Package check owns the rules by which a trial earns the right to be judged: that the load was what the schedule
// said, that the generator had the machine it needed, and that the faults landed. It never looks at what the service
// was meant to do, so no result, however odd, makes a trial void. Package verdict calls it on every trial.
package check
