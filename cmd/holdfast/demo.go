package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-live/holdfast/cmd/internal/app"
	"github.com/holdfast-live/holdfast/configs"
)

// demoStream is the name of the stream that the demo publishes.
const demoStream = "live/demo"

// schedule is the timing of the demo's breaks.
type schedule struct {
	every time.Duration // from the start of publishing to the first break, and between breaks
	gap   time.Duration // from a break to the redial
}

// demoFlags adds the flags of the serve command, with log.level warn by default, so that the demo's own
// lines stand out.
func demoFlags(cmd *cobra.Command) {
	serveFlags(cmd)
	level := cmd.Flags().Lookup("log.level")
	level.DefValue = "warn"
	_ = level.Value.Set(level.DefValue) // accepts any text
}

func runDemo(cmd *cobra.Command, _ []string) error {
	return serveDemo(cmd.Context(), namedSource(cmd), cmd.OutOrStdout(), cmd.ErrOrStderr(), schedule{every: 20 * time.Second, gap: 3 * time.Second})
}

// portsHint is the hint on how to run the demo while another relay runs on the machine.
const portsHint = "or let the demo take free ports: holdfast demo --rtmp.listen 127.0.0.1:0 --http.listen 127.0.0.1:0 --admin.listen 127.0.0.1:0 --webrtc.udp_listen 127.0.0.1:0"

func serveDemo(ctx context.Context, src source, out, log io.Writer, c schedule) error {
	loaded, err := src.load()
	if err != nil {
		return err
	}
	cfg := loaded.Config
	if cfg.RTMP.Listen == "" {
		return errors.New("the demo pushes over RTMP, and rtmp.listen is off; set --rtmp.listen :1935")
	}
	served := false
	err = serve(ctx, src, log, func(ctx context.Context, a *app.App, _ *slog.Logger) error {
		served = true
		d := &demo{out: out, cfg: cfg, relay: a, cadence: c, begun: time.Now()}
		return d.run(ctx)
	})
	if err != nil && !served {
		return fmt.Errorf("%w\n%s", err, portsHint)
	}
	return err
}

// demo is a running demo. It is not safe for concurrent use.
type demo struct {
	out     io.Writer
	cfg     *configs.Config
	relay   *app.App
	cadence schedule
	begun   time.Time
	socket  *net.TCPConn // socket of the current connection
}

// printf prints a line with the time since the start of the demo.
func (d *demo) printf(format string, args ...any) {
	s := int(time.Since(d.begun).Seconds())
	fmt.Fprintf(d.out, "%02d:%02d  %s\n", s/60, s%60, fmt.Sprintf(format, args...))
}

// announce prints the URLs of the stream, of a page to publish from, and of the admin address.
func (d *demo) announce() {
	fmt.Fprintf(d.out, "holdfast demo: pushing %s to this relay over RTMP.\n\n", demoStream)
	line := func(what, text string) { fmt.Fprintf(d.out, "  %-9s %s\n", what, text) }
	rtmp := "rtmp://" + reachable(d.relay.Addr("rtmp")) + "/" + demoStream
	if addr := d.relay.Addr("http"); addr != nil {
		page := scheme(d.cfg.HTTP.Cert) + reachable(addr) + "/" + demoStream + "/"
		line("browser", page)
		line("", "to publish from one: "+strings.TrimSuffix(page, demoStream+"/")+"live/mine/?publish")
	}
	line("RTMP", rtmp)
	line("", "ffplay -fflags nobuffer "+rtmp)
	if addr := d.relay.Addr("http"); addr != nil {
		flv := scheme(d.cfg.HTTP.Cert) + reachable(addr) + "/" + demoStream + ".flv"
		line("HTTP-FLV", flv)
		line("", "ffplay -fflags nobuffer "+flv)
		line("HLS", strings.TrimSuffix(flv, ".flv")+"/index.m3u8")
	}
	if addr := d.relay.Addr("admin"); addr != nil {
		line("admin", "http://"+reachable(addr)+"/")
		line("", "http://"+reachable(addr)+"/api/v1/streams/"+demoStream)
	}
	if d.settings().PlaySecret != "" {
		line("note", "playing needs a token here: append ?token=… to the URL")
	}
	if d.cfg.Admin.Token != "" {
		line("note", "the admin address asks for admin.token")
	}
	fmt.Fprintf(d.out, "\nThe push breaks every %v for %v and comes back by itself. Ctrl-C ends the demo.\n\n", d.cadence.every, d.cadence.gap)
}

func (d *demo) settings() *configs.Stream { return d.cfg.Stream(demoStream) }

// pushURL returns the URL to publish to, with a publish key if the stream requires one.
func (d *demo) pushURL() string {
	u := "rtmp://" + reachable(d.relay.Addr("rtmp")) + "/" + demoStream
	if keys := d.settings().PublishKeys; len(keys) > 0 {
		u += "?key=" + url.QueryEscape(keys[0])
	}
	return u
}

// reachable returns addr as host:port that can be dialed on this machine. It replaces an unspecified IP
// address by loopback.
func reachable(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return addr.String()
	}
	return fmt.Sprintf("127.0.0.1:%d", tcp.Port)
}

func scheme(cert string) string {
	if cert != "" {
		return "https://"
	}
	return "http://"
}
