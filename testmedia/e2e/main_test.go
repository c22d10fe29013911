//go:build unix

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// relayBinary is the relay, built once for all tests.
var relayBinary string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "holdfast-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	relayBinary = filepath.Join(dir, "holdfast")
	args := []string{"build", "-o", relayBinary}
	if raceEnabled {
		args = append(args, "-race")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	build := exec.CommandContext(ctx, "go", append(args, "../../cmd/holdfast")...)
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the relay: %v\n%s", err, out)
		return 1
	}
	code := m.Run()
	http.DefaultClient.CloseIdleConnections()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// inCI reports whether tests run in CI, where none may be skipped.
var inCI = os.Getenv("CI") == "true"

// slack widens a limit on time, because the machine is shared and the race detector needs several times
// the CPU time.
func slack(d time.Duration) time.Duration {
	if raceEnabled || inCI {
		return 5 * d
	}
	return d
}

// waitLimit is how long a test waits for a condition whose time does not matter.
const waitLimit = 30 * time.Second

// waitContext returns a context that ends with the test or after waitLimit.
func waitContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
	t.Cleanup(cancel)
	return ctx
}
