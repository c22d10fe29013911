package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/holdfast-live/holdfast/cmd/internal/app"
	"github.com/holdfast-live/holdfast/configs"
)

// longestToken is the maximum validity of a play token.
const longestToken = 10 * 365 * 24 * time.Hour

func tokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token STREAM",
		Short: "Make a play token for a stream, and print its URLs",
		Long: "token signs a play token for a stream {app}/{name}, or for all streams of a pattern such as \"live/*\",\n" +
			"with the play_secret that the configuration gives them. It prints the token and the URLs to play the\n" +
			"stream with it. The running relay is not asked.",
		Example: "  holdfast token live/cam --for 2h\n" +
			"  holdfast token \"live/*\" --for 168h --base https://relay.example",
		Args: oneStream,
		RunE: runToken,
	}
	serveFlags(cmd)
	cmd.Flags().VisitAll(func(f *pflag.Flag) { f.Hidden = f.Name != "config" })
	length := duration(2 * time.Hour)
	cmd.Flags().Var(&length, "for", "how long it lets play: 90s, 30m, 2h; a week is 168h")
	cmd.Flags().String("base", "", "`URL` at which viewers reach http.listen, such as https://relay.example")
	cmd.Flags().BoolP("quiet", "q", false, "print the token alone")
	return cmd
}

// duration is the value of --for.
type duration time.Duration

// String implements pflag.Value.
func (d *duration) String() string {
	s := time.Duration(*d).String()
	return strings.TrimSuffix(strings.TrimSuffix(s, "0s"), "0m")
}

// Type implements pflag.Value.
func (*duration) Type() string { return "duration" }

// Set implements pflag.Value.
func (d *duration) Set(text string) error {
	got, err := time.ParseDuration(text)
	if err != nil || got < time.Second || got > longestToken {
		return errors.New("write a duration like 90s, 30m or 2h; a week is 168h; the most is 87600h")
	}
	*d = duration(got)
	return nil
}

// oneStream returns an error unless there is exactly one argument, the stream.
func oneStream(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("name one stream: holdfast %s live/cam", cmd.Name())
	}
	return nil
}

func runToken(cmd *cobra.Command, args []string) error {
	length := time.Duration(*cmd.Flags().Lookup("for").Value.(*duration)) //nolint:forcetypeassert // set by tokenCommand
	base, _ := cmd.Flags().GetString("base")                              // the flag exists
	quiet, _ := cmd.Flags().GetBool("quiet")
	loaded, err := sourceOf(cmd).load()
	if err != nil {
		return err
	}
	cfg := loaded.Config
	at, doubt, err := addressesOf(cfg, base)
	if err != nil {
		return err
	}
	until := time.Now().Add(length).Truncate(time.Second)
	token, note, err := app.PlayToken(cfg, args[0], until)
	if errors.Is(err, app.ErrOpen) {
		lines := at.urls(args[0], "")
		if doubt != "" {
			lines += "note: " + doubt
		}
		return fmt.Errorf("%w\n%s", err, strings.TrimRight(lines, "\n"))
	}
	if err != nil {
		return err
	}
	if quiet {
		fmt.Fprintln(cmd.OutOrStdout(), token)
		return nil
	}
	printToken(cmd.OutOrStdout(), args[0], token, until, at)
	if note != "" {
		fmt.Fprintln(cmd.ErrOrStderr(), "note:", note)
	}
	if doubt != "" {
		fmt.Fprintln(cmd.ErrOrStderr(), "note:", doubt)
	}
	return nil
}

func printToken(out io.Writer, stream, token string, until time.Time, at addresses) {
	fmt.Fprintf(out, "%-9s %s\n", "token", token)
	fmt.Fprintf(out, "%-9s %s, until %s\n\n", "plays", stream, until.Format("2006-01-02 15:04:05 MST"))
	fmt.Fprint(out, at.urls(stream, token))
}

// addresses holds the base URLs at which viewers reach a relay.
type addresses struct {
	http *url.URL // nil if disabled
	rtmp *url.URL // nil if disabled
	whep bool
}

// addressesOf returns the addresses of a relay with the given configuration. If base is not empty, it is
// the base URL for HTTP, and its host is used for RTMP. doubt is the reason why viewers may not reach the
// addresses from other machines, or empty.
func addressesOf(cfg *configs.Config, base string) (out addresses, doubt string, err error) {
	listen := cmp.Or(cfg.HTTP.Listen, cfg.RTMP.Listen, cfg.RTMPS.Listen)
	host, port, _ := net.SplitHostPort(listen) // was validated
	public, doubt := publicHost(cfg, host)
	switch {
	case base != "":
		out.http, err = parseBase(base)
		if err != nil {
			return out, "", err
		}
		public, doubt = out.http.Hostname(), ""
	default:
		out.http = &url.URL{Scheme: strings.TrimSuffix(scheme(cfg.HTTP.Cert), "://"), Host: joined(public, port, map[bool]string{true: "443", false: "80"}[cfg.HTTP.Cert != ""])}
	}
	if cfg.HTTP.Listen == "" {
		out.http = nil
	}
	out.whep = out.http != nil && (cfg.WebRTC.UDPListen != "" || cfg.WebRTC.TCPListen != "")
	if _, port, err := net.SplitHostPort(cfg.RTMP.Listen); err == nil {
		out.rtmp = &url.URL{Scheme: "rtmp", Host: joined(public, port, "1935")}
	} else if _, port, err := net.SplitHostPort(cfg.RTMPS.Listen); err == nil {
		out.rtmp = &url.URL{Scheme: "rtmps", Host: joined(public, port, "443")}
	}
	return out, doubt, nil
}

// publicHost returns the host at which viewers most likely reach a relay that listens on the host listen.
// doubt is the reason why viewers may not reach it, or empty.
func publicHost(cfg *configs.Config, listen string) (host, doubt string) {
	switch ip := net.ParseIP(listen); {
	case listen == "localhost", ip != nil && ip.IsLoopback():
		return listen, "these URLs work on this machine only; give the public address with --base https://relay.example"
	case listen != "" && (ip == nil || !ip.IsUnspecified()):
		return listen, ""
	case len(cfg.WebRTC.PublicIPs) > 0:
		return cfg.WebRTC.PublicIPs[0], ""
	}
	return "localhost", "the relay's public address is not known here; give it with --base https://relay.example"
}

// joined returns host:port. It omits the port if that equals usual, the default port of the scheme.
func joined(host, port, usual string) string {
	if port == usual {
		return strings.TrimSuffix(net.JoinHostPort(host, ""), ":")
	}
	return net.JoinHostPort(host, port)
}

func parseBase(base string) (*url.URL, error) {
	text := base
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return nil, fmt.Errorf("--base %q is not the URL of a relay; write https://relay.example or http://192.0.2.1:8080", base)
	}
	return u, nil
}

// urls returns lines that list the URLs of a stream. If stream is a pattern, {app} or {name} replaces a
// part with wildcards.
func (a addresses) urls(stream, token string) string {
	app, name, _ := strings.Cut(stream, "/")
	if strings.ContainsAny(app, `*?[\`) {
		app = "{app}"
	}
	if strings.ContainsAny(name, `*?[\`) {
		name = "{name}"
	}
	query := ""
	if token != "" {
		query = "?token=" + token
	}
	var b strings.Builder
	line := func(what string, at *url.URL, rest string) {
		fmt.Fprintf(&b, "%-9s %s://%s%s/%s/%s%s%s\n", what, at.Scheme, at.Host, strings.TrimRight(at.EscapedPath(), "/"), app, name, rest, query)
	}
	if a.http != nil {
		line("page", a.http, "/")
		line("HLS", a.http, "/index.m3u8")
		line("HTTP-FLV", a.http, ".flv")
	}
	if a.rtmp != nil {
		line("RTMP", a.rtmp, "")
	}
	if a.whep {
		line("WHEP", a.http, "/whep")
	}
	return b.String()
}
