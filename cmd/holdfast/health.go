package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-live/holdfast/configs"
)

// healthTimeout is the timeout of the health request.
const healthTimeout = 3 * time.Second

// adminFlags adds the flags of commands that send a request to a running relay.
func adminFlags(cmd *cobra.Command) {
	cmd.Flags().String("admin", "", "`URL` of the relay's admin address (default: admin.listen of the configuration)")
	configFlag(cmd)
	configs.RegisterFlags(cmd.Flags(), "admin.")
}

// adminOf returns the admin URL and token of the running relay, from the flags, the environment or the
// configuration file. An invalid configuration is not an error, because the relay may run with an earlier
// version of it. In that case adminOf prints a note that the configuration is not used.
func adminOf(cmd *cobra.Command) (at *url.URL, token string, err error) {
	src := sourceOf(cmd)
	if cmd.Flags().Changed("config") && src.file != "" {
		if _, err := os.Stat(src.file); err != nil {
			return nil, "", fmt.Errorf("--config: %w", err)
		}
	}
	admin, err := configs.AdminOf(cmd.Flags())
	if err != nil {
		return nil, "", err
	}
	base, _ := cmd.Flags().GetString("admin") // the flag exists
	if base == "" {                           // with --admin the configuration's token would be for another relay
		cfg, err := src.load()
		if err == nil {
			admin = cfg.Admin
		}
		base = dialable(admin.Listen)
		if err != nil {
			noteUnused(cmd.ErrOrStderr(), src, base, err)
		}
	}
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	at, err = url.Parse(base)
	if err != nil || at.Host == "" {
		return nil, "", fmt.Errorf("--admin %q is not a URL; write http://127.0.0.1:8081", base)
	}
	return at, admin.Token, nil
}

// noteUnused prints a note that the configuration is not used because of err, and which URL is used instead.
func noteUnused(w io.Writer, src source, asked string, err error) {
	var faults configs.Faults
	if errors.As(err, &faults) && len(faults) > 0 {
		err = errors.New(faults[0].Placed())
		if more := len(faults) - 1; more > 0 {
			err = fmt.Errorf("%w (and %d more: holdfast check lists them)", err, more)
		}
	}
	fmt.Fprintf(w, "note: %s is not used: %v\n", src, err)
	fmt.Fprintf(w, "note: asking %s; give another address with --admin\n", asked)
}

// dialable returns the URL at which a listen address can be reached from this machine.
func dialable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "http://127.0.0.1:8081"
	}
	if host == "" || host == "0.0.0.0" || host == "::" {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// noAnswer returns the error for a relay that does not answer at the URL asked.
func noAnswer(asked *url.URL, err error) error {
	return fmt.Errorf("no relay answers at %s; give another address with --admin: %w", asked, err)
}

func runHealth(cmd *cobra.Command, _ []string) error {
	u, token, err := adminOf(cmd)
	if err != nil {
		return err
	}
	parent := cmd.Context()
	if parent == nil {
		parent = context.Background()
	}
	ctx, cancel := context.WithTimeout(parent, healthTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.JoinPath("/readyz").String(), nil)
	if err != nil {
		return err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return noAnswer(u, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		var problem struct {
			Error string `json:"error"`
		}
		_ = json.NewDecoder(resp.Body).Decode(&problem) // without a body only the status is known
		return fmt.Errorf("not ready: %s %s", resp.Status, problem.Error)
	}
	fmt.Fprintln(cmd.OutOrStdout(), "ready")
	return nil
}
