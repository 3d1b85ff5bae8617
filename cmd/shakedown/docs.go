package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"shakedown/internal/catalogdocs"
)

func newDocs() *cobra.Command {
	return &cobra.Command{
		Use:    "docs DIR",
		Short:  "Render the pages that come from the registry",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := catalogdocs.Write(args[0]); err != nil {
				return err
			}
			page, err := commandLine(cmd.Root())
			if err != nil {
				return err
			}
			path := filepath.Join(args[0], "cli", "README.md")
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				return err
			}
			return os.WriteFile(path, page, 0o644)
		},
	}
}

// commandLine is the help of every command, as a page.
func commandLine(root *cobra.Command) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("<!-- rendered by `make docs`; edit the commands, not this file -->\n\n# Command line\n")
	explainFaults(root)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	err := describe(&b, root)
	return b.Bytes(), err
}

func describe(b *bytes.Buffer, cmd *cobra.Command) error {
	if cmd.Hidden || cmd.Name() == "help" || strings.HasPrefix(cmd.CommandPath(), "shakedown completion ") {
		return nil
	}
	cmd.InitDefaultHelpFlag()
	text := cmd.Long
	if text == "" {
		text = cmd.Short
	}
	fmt.Fprintf(b, "\n## %s\n\n```\n%s\n\n%s```\n", cmd.CommandPath(), strings.TrimSpace(text), cmd.UsageString())
	for _, c := range cmd.Commands() {
		if err := describe(b, c); err != nil {
			return err
		}
	}
	return nil
}
