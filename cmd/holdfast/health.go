package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-live/holdfast/configs"
)

// healthTimeout bounds the question: a probe that hangs is an answer too.
const healthTimeout = 3 * time.Second

// adminFlags are those of commands that ask a running relay.
func adminFlags(cmd *cobra.Command) {
	cmd.Flags().String("admin", "", "`URL` of the relay's admin address (default: admin.listen of the configuration)")
	configFlag(cmd)
	configs.RegisterFlags(cmd.Flags(), "admin.")
}

// adminOf returns where the relay answers that a command is to ask, and its token. A configuration that
// is not right does not matter: the relay may run on the one before.
func adminOf(cmd *cobra.Command) (at *url.URL, token string, err error) {
	src := sourceOf(cmd)
	listen := os.Getenv("HOLDFAST_ADMIN_LISTEN")
	token = os.Getenv("HOLDFAST_ADMIN_TOKEN")
	if cfg, err := src.load(); err == nil {
		listen, token = cfg.Admin.Listen, cfg.Admin.Token
	} else if cmd.Flags().Changed("config") {
		if _, err := os.Stat(src.file); err != nil {
			return nil, "", fmt.Errorf("--config: %w", err)
		}
	}
	for name, to := range map[string]*string{"admin.listen": &listen, "admin.token": &token} {
		if f := cmd.Flags().Lookup(name); f.Changed {
			*to = f.Value.String()
		}
	}
	base, _ := cmd.Flags().GetString("admin") // it is always there
	switch {
	case base == "":
		base = dialable(listen)
	case !cmd.Flags().Changed("admin.token"): // the configuration's is for its own relay
		token = os.Getenv("HOLDFAST_ADMIN_TOKEN")
	}
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	at, err = url.Parse(base)
	if err != nil || at.Host == "" {
		return nil, "", fmt.Errorf("--admin %q is not a URL; write http://127.0.0.1:8081", base)
	}
	return at, token, nil
}

// dialable is the URL at which what listens at an address answers on this machine.
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
		return fmt.Errorf("no relay answers: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		var problem struct {
			Error string `json:"error"`
		}
		_ = json.NewDecoder(resp.Body).Decode(&problem) // without a body the status has to do
		return fmt.Errorf("not ready: %s %s", resp.Status, problem.Error)
	}
	fmt.Fprintln(cmd.OutOrStdout(), "ready")
	return nil
}
