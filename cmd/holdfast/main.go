// Holdfast is a live-stream origin relay that does not let go: viewers stay while publishers
// break and come back.
package main

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/holdfast-live/holdfast/configs"
)

// gcPercent trades a little CPU for memory: most of the heap is media that hardly needs
// marking, and operators size a relay by what stays resident.
const gcPercent = 50

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if err := root().Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "holdfast:", message(err))
		os.Exit(1)
	}
}

// message puts each fault of a configuration on a line of its own.
func message(err error) string {
	var faults configs.Faults
	if errors.As(err, &faults) {
		return "the configuration is not right:\n  " + strings.ReplaceAll(faults.Error(), "\n", "\n  ")
	}
	return err.Error()
}

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "holdfast",
		Short: "A live-stream origin relay that does not let go",
		Long: "Holdfast takes live streams from publishers and gives them to viewers, who stay while\n" +
			"publishers break and come back. Without a command it serves.",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          runServe,
	}
	serveFlags(cmd)
	cmd.SetFlagErrorFunc(flagError)
	cmd.CompletionOptions.HiddenDefaultCmd = true
	serve := &cobra.Command{Use: "serve", Short: "Run the relay", Args: cobra.NoArgs, RunE: runServe}
	serveFlags(serve)
	check := &cobra.Command{Use: "check", Short: "Validate a configuration", Args: cobra.NoArgs, RunE: runCheck}
	serveFlags(check)
	health := &cobra.Command{Use: "health", Short: "Ask the running relay whether it is ready", Args: cobra.NoArgs, RunE: runHealth}
	healthFlags(health)
	demo := &cobra.Command{Use: "demo", Short: "Serve, push a stream to itself and break that push every 20 s", Args: cobra.NoArgs, RunE: runDemo}
	demoFlags(demo)
	cmd.AddCommand(serve, demo, check, health, tokenCommand(), slateCommand(),
		&cobra.Command{Use: "version", Short: "Print version, commit and Go version", Args: cobra.NoArgs, Run: func(c *cobra.Command, _ []string) {
			fmt.Fprintln(c.OutOrStdout(), versionLine())
		}})
	return cmd
}

// serveFlags are --config and a flag for every key.
func serveFlags(cmd *cobra.Command) {
	cmd.Flags().String("config", os.Getenv("HOLDFAST_CONFIG"), "configuration file, YAML")
	configs.RegisterFlags(cmd.Flags())
}

// flagError names the flag that an unknown one may have meant.
func flagError(_ *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		if s := configs.Suggest(unknown.GetSpecifiedName()); s != "" {
			return fmt.Errorf("%w; did you mean --%s?", err, s)
		}
	}
	return err
}
