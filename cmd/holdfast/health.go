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
)

// healthTimeout bounds the question: a probe that hangs is an answer too.
const healthTimeout = 3 * time.Second

func healthFlags(cmd *cobra.Command) {
	cmd.Flags().String("admin", defaultAdmin(os.Getenv("HOLDFAST_ADMIN_LISTEN")), "URL of the admin address")
}

// defaultAdmin is where the relay of the same environment answers.
func defaultAdmin(listen string) string {
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
	base, _ := cmd.Flags().GetString("admin") // it is always there
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	u, err := url.Parse(base)
	if err != nil || u.Host == "" {
		return fmt.Errorf("--admin %q is not a URL; write http://127.0.0.1:8081", base)
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
