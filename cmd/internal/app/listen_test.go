package app

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/configs"
)

// The error names a listener that is not available and how to choose another address, and the
// relay does not start partially.
func TestTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	addr := taken.Addr().String()
	for _, tt := range []struct {
		name   string
		change func(*configs.Config)
		says   []string
	}{
		{"rtmp", func(c *configs.Config) { c.RTMP.Listen = addr }, []string{"rtmp.listen", addr, "--rtmp.listen :1936", "HOLDFAST_RTMP_LISTEN=:1936"}},
		{"http", func(c *configs.Config) { c.HTTP.Listen = addr }, []string{"http.listen", addr, "--http.listen :8088", "HOLDFAST_HTTP_LISTEN=:8088"}},
		{"admin", func(c *configs.Config) { c.Admin.Listen = addr }, []string{"admin.listen", addr, "HOLDFAST_ADMIN_LISTEN=127.0.0.1:8082"}},
		{"certificate", func(c *configs.Config) {
			c.RTMPS = configs.TLSListener{Listen: "127.0.0.1:0", Cert: "none.pem", Key: "none.pem"}
		}, []string{"rtmps.cert", "none.pem"}},
		{"no such address", func(c *configs.Config) { c.HTTP.Listen = "192.0.2.1:0" }, []string{"http.listen", "192.0.2.1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := wire(t, io.Discard, tt.change)
			err := a.Start(t.Context())
			if err == nil {
				t.Fatal("it started")
			}
			for _, s := range tt.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("%q lacks %q", err, s)
				}
			}
			if a.relay.Ready() == nil {
				t.Error("it is ready")
			}
			for _, component := range []string{"rtmp", "rtmps", "http", "admin"} {
				if bound := a.Addr(component); bound != nil {
					if c, err := net.Dial("tcp", bound.String()); err == nil {
						_ = c.Close()
						t.Errorf("%s listens", component)
					}
				}
			}
		})
	}
}

// certify writes a self-signed certificate with a name, and its key.
func certify(t *testing.T, cert, key, name string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// secured dials with TLS, and returns the certificate's name and the negotiated protocol.
func secured(t *testing.T, addr net.Addr, protocols ...string) (name, protocol string) {
	t.Helper()
	c, err := tls.Dial("tcp", addr.String(), &tls.Config{InsecureSkipVerify: true, NextProtos: protocols}) //nolint:gosec // its own certificate
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	state := c.ConnectionState()
	return state.PeerCertificates[0].Subject.CommonName, state.NegotiatedProtocol
}

// A renewed certificate is used after a reload; an unreadable one is not.
func TestCertificates(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	certify(t, cert, key, "first")
	var log logs
	a := run(t, &log, func(c *configs.Config) {
		c.RTMPS = configs.TLSListener{Listen: "127.0.0.1:0", Cert: cert, Key: key}
		c.HTTP.Cert, c.HTTP.Key = cert, key
	})
	expect := func(want string) {
		t.Helper()
		for _, component := range []string{"rtmps", "http"} {
			if name, _ := secured(t, a.Addr(component)); name != want {
				t.Errorf("%s has the certificate of %q, want %q", component, name, want)
			}
		}
	}
	expect("first")
	for offered, want := range map[string]string{"h2": "h2", "http/1.1": "http/1.1"} {
		if _, got := secured(t, a.Addr("http"), offered); got != want {
			t.Errorf("%s: %q was agreed on", offered, got)
		}
	}
	certify(t, cert, key, "second")
	expect("first")
	a.Reload(a.settings.get())
	expect("second")
	if err := os.WriteFile(key, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	a.Reload(a.settings.get())
	expect("second")
	if !strings.Contains(log.String(), "certificate not reloaded") {
		t.Error("client was not told")
	}
}

// HTTP/2 clients are told the maximum number of streams per connection.
func TestStreamsPerConnection(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	certify(t, cert, key, "relay")
	a := run(t, io.Discard, func(c *configs.Config) { c.HTTP.Cert, c.HTTP.Key = cert, key })
	c, err := tls.Dial("tcp", a.Addr("http").String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}) //nolint:gosec // its own certificate
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	emptySettings := "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	if _, err := io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"+emptySettings); err != nil {
		t.Fatal(err)
	}
	header := make([]byte, 9) // length, type, flags, stream; RFC 9113, section 4.1
	if _, err := io.ReadFull(c, header); err != nil || header[3] != 4 {
		t.Fatalf("got %v, %v, want SETTINGS", err, header)
	}
	settings := make([]byte, header[2])
	if _, err := io.ReadFull(c, settings); err != nil {
		t.Fatal(err)
	}
	const maxConcurrentStreams = 3 // section 6.5.2
	for s := range slices.Chunk(settings, 6) {
		if binary.BigEndian.Uint16(s) == maxConcurrentStreams {
			if n := binary.BigEndian.Uint32(s[2:]); n != streamsPerConnection {
				t.Errorf("got %d streams", n)
			}
			return
		}
	}
	t.Errorf("no bound in % x", settings)
}
