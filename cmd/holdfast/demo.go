package main

import "github.com/spf13/cobra"

func runDemo(cmd *cobra.Command, _ []string) error {
	return serve(cmd.Context(), sourceOf(cmd), cmd.ErrOrStderr(), nil)
}
