//go:build unix

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/testmedia/faultnet"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// ffmpeg's fifo muxer dials again by itself when its line is cut.
func TestFifoRecovers(t *testing.T) {
	t.Parallel()
	need(t, "ffmpeg")
	r := start(t)
	const stream = "live/cam"
	line, err := faultnet.NewProxy(r.addrs["rtmp"], nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = line.Close() })
	encoder := pushing(t, "rtmp://"+line.Addr()+"/"+stream, source{picture: "640x360", tone: true, output: []string{
		"-map", "0:v", "-map", "1:a", "-flags", "+global_header", "-f", "fifo", "-fifo_format", "flv",
		"-attempt_recovery", "1", "-recovery_wait_time", "0.5", "-drop_pkts_on_overflow", "1",
	}})
	r.live(stream)
	c, err := openOn(t, r.addrs["rtmp"], "play", stream, nil)
	if err != nil {
		t.Fatal(err)
	}
	v := watchClient(t, c, true)
	for n := range 2 {
		v.more(150)
		line.Do(faultnet.Reset, faultnet.Both)
		if l := r.broke(n); l.str("cause") != "reset" {
			t.Error(l.text)
		}
		r.resumed(n)
		v.more(100)
	}
	v.watching()
	encoder.kill()
}

// rtmpdump records a stream over a break and to its end.
func TestRTMPDump(t *testing.T) {
	t.Parallel()
	need(t, "ffmpeg", "ffprobe", "rtmpdump")
	r := start(t, "--defaults.hold_unpublish", "1s")
	const stream, length = "live/cam", 7 * time.Second
	one := pushing(t, r.url("rtmp", "/"+stream), source{picture: "640x360", tone: true})
	r.live(stream)
	file := filepath.Join(t.TempDir(), "recording.flv")
	dump := launch(t, "rtmpdump", "-q", "--live", "-r", r.url("rtmp", "/"+stream), "-o", file)
	wait(t, 3*time.Second)
	one.kill()
	r.broke(0)
	pushing(t, r.url("rtmp", "/"+stream), source{picture: "640x360", tone: true, length: 4 * time.Second})
	r.resumed(0)
	if err := dump.wait(patience); err != nil || strings.TrimSpace(dump.output()) != "" {
		t.Errorf("rtmpdump: %v\n%s", err, dump.output())
	}
	decoded := ffmpeg(t, "-i", file, "-f", "null", "-")
	if err := decoded.wait(patience); err != nil || decoded.output() != "" {
		t.Errorf("the recording does not decode: %v\n%s", err, decoded.output())
	}
	frames := strings.Fields(capture(t, "ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "packet=dts", "-of", "csv=p=0", file))
	if len(frames) < int(length.Seconds())*20 {
		t.Errorf("the recording has %d pictures", len(frames))
	}
}

// certificate makes one for the loopback address, and returns its files and who trusts it.
func certificate(t *testing.T) (cert, key string, trust *tls.Config) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, BasicConstraintsValid: true, IsCA: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	blocks := map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}}
	for file, block := range blocks {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem.EncodeToMemory(blocks[cert]))
	return cert, key, &tls.Config{RootCAs: pool, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}
}

// Publishing and playing go over TLS as well.
func TestRTMPS(t *testing.T) {
	t.Parallel()
	cert, key, trust := certificate(t)
	r := start(t, "--rtmps.listen", "127.0.0.1:0", "--rtmps.cert", cert, "--rtmps.key", key)
	const stream = "live/cam"
	c, err := openOn(t, r.addrs["rtmps"], "publish", stream, trust)
	if err != nil {
		t.Fatal(err)
	}
	p := push(t, c, gen.Options{Source: 1})
	p.atLeast(20)
	player, err := openOn(t, r.addrs["rtmps"], "play", stream, trust)
	if err != nil {
		t.Fatal(err)
	}
	w := watched{t: t, relay: r, pushes: []*publisher{p}, viewers: []*viewer{watchClient(t, player, false), watchRTMP(t, r, stream)}}
	p.atLeast(200)
	p.halt()
	w.settled(p)
	w.whole(nil)
	w.counted()
	if n := r.metric(`holdfast_publish_sessions_total{outcome="accepted",protocol="rtmps"}`); n != 1 {
		t.Errorf("%v pushes over TLS", n)
	}
}
