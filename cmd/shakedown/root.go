package main

import (
	"github.com/spf13/cobra"
)

// newRoot builds the command tree. started becomes true when a command's own code runs: what goes wrong before is the
// command line's fault.
func newRoot() (root *cobra.Command, started *bool) {
	started = new(bool)
	root = &cobra.Command{
		Use:   "shakedown",
		Short: "Put claims about backend patterns to the test, on real servers",
		Long: `shakedown turns claims about backend patterns into experiments on real servers: load drives services that use a
pattern and a control that does not, while faults are injected; then it says what holds, what fails, and by how much.

  shakedown list                                what can be run, and what this machine lacks
  shakedown show cache/aside/stampede           the question, the variants, the faults, the claims
  shakedown run cache/aside/stampede --quick    runs it, prints verdicts, keeps a report
  shakedown report DIR --format html            judges a stored run again, without any server
  shakedown load http://127.0.0.1:8080/         sends load to any server, and says whether the result may be believed

Exit codes: 0 every verdict as expected; 1 some verdict not as expected; 2 bad input; 3 this machine lacks something;
4 the run is void and may not be judged; 5 aborted; 70 internal error.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			*started = true
			if cmd.Name() == cobra.ShellCompRequestCmd {
				explainFaults(root)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	help := root.HelpFunc()
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		explainFaults(root)
		help(cmd, args)
	})
	root.AddCommand(newList(), newShow(), newRun(), newReport(), newLoad(), newDoctor(), newClean(), newTarget(), newChaos(), newVersion(), newDocs())
	return root, started
}
