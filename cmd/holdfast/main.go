// Holdfast is a live-stream origin relay that keeps viewers connected while publishers disconnect and
// return.
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

// gcPercent is the default of GOGC. It is lower than Go's, which saves memory at the cost of little CPU
// time, because most of the heap is media, which is cheap to mark. Operators size a relay by its resident
// memory.
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

// message formats an error, with each fault of a configuration on a line of its own.
func message(err error) string {
	var faults configs.Faults
	if errors.As(err, &faults) {
		return "configuration invalid:\n  " + strings.ReplaceAll(faults.Placed(), "\n", "\n  ")
	}
	return err.Error()
}

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "holdfast",
		Short: "A live-stream origin relay that does not let go",
		Long: "Holdfast receives live streams from publishers and sends them to viewers, who stay connected while\n" +
			"publishers break and return. Without a command it runs the relay.",
		Args:          noArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          runServe,
		Version:       version(),
	}
	cmd.SetVersionTemplate(versionLine() + "\n")
	serveFlags(cmd)
	cmd.SetFlagErrorFunc(flagError)
	serve := &cobra.Command{Use: "serve", Short: "Run the relay", Args: noArgs, RunE: runServe}
	serveFlags(serve)
	check := &cobra.Command{Use: "check", Short: "Validate a configuration", Args: noArgs, RunE: runCheck}
	serveFlags(check)
	health := &cobra.Command{Use: "health", Short: "Ask the running relay whether it is ready", Args: noArgs, RunE: runHealth}
	adminFlags(health)
	demo := &cobra.Command{Use: "demo", Short: "Serve, push a stream to itself and break that push every 20 s", Args: noArgs, RunE: runDemo}
	demoFlags(demo)
	cmd.AddCommand(serve, demo, check, health, tokenCommand(), slateCommand(), manCommand(),
		&cobra.Command{Use: "version", Short: "Print version, commit and Go version", Args: noArgs, Run: func(c *cobra.Command, _ []string) {
			fmt.Fprintln(c.OutOrStdout(), versionLine())
		}})
	return cmd
}

// serveFlags adds --config and a flag for every key of the configuration that a flag can set.
func serveFlags(cmd *cobra.Command) {
	configFlag(cmd)
	configs.RegisterFlags(cmd.Flags())
}

func configFlag(cmd *cobra.Command) {
	cmd.Flags().String("config", os.Getenv("HOLDFAST_CONFIG"), "configuration `file`, YAML (default: "+strings.Join(configs.Files(), ", else ")+")")
}

// flagError adds a suggestion to the error for an unknown flag.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		if s := configs.Suggest(unknown.GetSpecifiedName(), names); s != "" {
			return fmt.Errorf("%w; did you mean --%s?", err, s)
		}
		return fmt.Errorf("%w; %s --help lists those there are", err, cmd.CommandPath())
	}
	return err
}

// noArgs rejects arguments. For an argument of the root command it suggests a command of a similar name.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if cmd.HasParent() {
		return fmt.Errorf("%s takes no argument, but was given %q", cmd.CommandPath(), args[0])
	}
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	if s := configs.Suggest(args[0], names); s != "" {
		return fmt.Errorf("unknown command %q; did you mean %s?", args[0], s)
	}
	return fmt.Errorf("unknown command %q; holdfast --help lists those there are", args[0])
}
