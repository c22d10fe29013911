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

// TestFifoRecovers checks that ffmpeg's fifo muxer reconnects when its connection is reset.
func TestFifoRecovers(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "ffmpeg")
	r := startRelay(t)
	const stream = "live/cam"
	line, err := faultnet.NewProxy(r.addrs["rtmp"], nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = line.Close() })
	encoder := startEncoder(t, "rtmp://"+line.Addr()+"/"+stream, encoderSource{size: "640x360", tone: true, output: []string{
		"-map", "0:v", "-map", "1:a", "-flags", "+global_header", "-f", "fifo", "-fifo_format", "flv",
		"-attempt_recovery", "1", "-recovery_wait_time", "0.5", "-drop_pkts_on_overflow", "1",
	}})
	r.waitLive(stream)
	c, err := openClient(t, r.addrs["rtmp"], "play", stream, nil)
	if err != nil {
		t.Fatal(err)
	}
	v := watchClient(t, c, true)
	for n := range 2 {
		v.waitFrames(150)
		line.Do(faultnet.Reset, faultnet.Both)
		if l := r.waitBreak(n); l.str("cause") != "reset" {
			t.Error(l.text)
		}
		r.waitResume(n)
		v.waitFrames(100)
	}
	v.checkOpen()
	encoder.kill()
}

// TestRTMPDump records a stream with rtmpdump over a break until its end.
func TestRTMPDump(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "ffmpeg", "ffprobe", "rtmpdump")
	r := startRelay(t, "--defaults.hold_unpublish", "1s")
	const stream, length = "live/cam", 7 * time.Second
	one := startEncoder(t, r.url("rtmp", "/"+stream), encoderSource{size: "640x360", tone: true})
	r.waitLive(stream)
	file := filepath.Join(t.TempDir(), "recording.flv")
	dump := launch(t, "rtmpdump", "-q", "--live", "-r", r.url("rtmp", "/"+stream), "-o", file)
	sleep(t, 3*time.Second)
	one.kill()
	r.waitBreak(0)
	startEncoder(t, r.url("rtmp", "/"+stream), encoderSource{size: "640x360", tone: true, length: 4 * time.Second})
	r.waitResume(0)
	if err := dump.wait(waitLimit); err != nil || strings.TrimSpace(dump.output()) != "" {
		t.Errorf("rtmpdump: %v\n%s", err, dump.output())
	}
	decoded := startFFmpeg(t, "-i", file, "-f", "null", "-")
	if err := decoded.wait(waitLimit); err != nil || decoded.output() != "" {
		t.Errorf("decode the recording: %v\n%s", err, decoded.output())
	}
	frames := strings.Fields(runProgram(t, "ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "packet=dts", "-of", "csv=p=0", file))
	if len(frames) < int(length.Seconds())*20 {
		t.Errorf("got a recording of %d frames", len(frames))
	}
}

// makeCertificate makes a certificate for the loopback address. It returns its files and a configuration
// that trusts it.
func makeCertificate(t *testing.T) (cert, key string, trust *tls.Config) {
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

// TestRTMPS publishes and plays over TLS.
func TestRTMPS(t *testing.T) {
	t.Parallel()
	cert, key, trust := makeCertificate(t)
	r := startRelay(t, "--rtmps.listen", "127.0.0.1:0", "--rtmps.cert", cert, "--rtmps.key", key)
	const stream = "live/cam"
	c, err := openClient(t, r.addrs["rtmps"], "publish", stream, trust)
	if err != nil {
		t.Fatal(err)
	}
	p := startPush(t, c, gen.Options{Source: 1})
	p.waitSent(20)
	player, err := openClient(t, r.addrs["rtmps"], "play", stream, trust)
	if err != nil {
		t.Fatal(err)
	}
	w := streamCheck{t: t, relay: r, pushes: []*publisher{p}, viewers: []*viewer{watchClient(t, player, false), watchRTMP(t, r, stream)}}
	p.waitSent(200)
	p.pause()
	w.waitSettled(p)
	w.checkComplete(nil)
	w.checkCounts()
	if n := r.metric(`holdfast_publish_sessions_total{outcome="accepted",protocol="rtmps"}`); n != 1 {
		t.Errorf("got %v pushes over TLS, want 1", n)
	}
}
