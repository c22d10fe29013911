package link

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/qos"
	"github.com/holdfast-live/holdfast/testmedia"
)

// missing skips a test that needs what is not installed. Under CI it has to be.
func missing(t *testing.T, reason string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(reason)
	}
	t.Skip(reason)
}

const nginxConf = `load_module %[1]s;
daemon off; master_process off; worker_processes 1; user root;
pid %[2]s/pid; error_log %[2]s/error.log info;
events { worker_connections 64; }
rtmp {
	server {
		listen 127.0.0.1:%[3]d;
		application live { live on; record all; record_path %[2]s; }
		application plain { live on; }
		application shut { live on; deny publish all; }
	}
}
`

// nginx runs nginx-rtmp and returns its address and its folder.
func nginx(t *testing.T) (addr, dir string) {
	t.Helper()
	program, err := exec.LookPath("nginx")
	if err != nil { // where Debian has it, and a user's path has not
		program, err = exec.LookPath("/usr/sbin/nginx")
	}
	const module = "/usr/lib/nginx/modules/ngx_rtmp_module.so"
	if _, noModule := os.Stat(module); err != nil || noModule != nil {
		missing(t, "needs nginx-rtmp: apt-get install libnginx-mod-rtmp")
	}
	probe, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := probe.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // it is
	_ = probe.Close()
	dir = t.TempDir()
	conf := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, nginxConf, module, dir, port), 0o600); err != nil {
		t.Fatal(err)
	}
	// The packaged nginx opens its own log before it has read where ours is.
	cmd := exec.Command(program, "-p", dir, "-e", filepath.Join(dir, "error.log"), "-c", conf) //nolint:gosec // the test's own
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if said, _ := os.ReadFile(filepath.Join(dir, "error.log")); t.Failed() { //nolint:gosec // the test's own
			t.Logf("nginx said:\n%s", said)
		}
	})
	return fmt.Sprintf("127.0.0.1:%d", port), dir
}

// dialNginx dials until nginx has begun to listen.
func dialNginx(t *testing.T, url string) (*Push, error) {
	t.Helper()
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for range 500 {
		p, err := Dial(t.Context(), Options{URL: url})
		var at *PhaseError
		if !errors.As(err, &at) || at.Phase != qos.PhaseTCP {
			return p, err
		}
		<-retry.C
	}
	t.Fatal("nginx does not listen")
	return nil, nil
}

// TestNginx pushes to nginx-rtmp, which records what it takes.
func TestNginx(t *testing.T) {
	addr, dir := nginx(t)
	p, err := dialNginx(t, "rtmp://"+addr+"/live/cam?key=hush")
	if err != nil {
		t.Fatal(err)
	}
	pictures := 0
	for loop := testmedia.NewLoop(0); p.Sent() < 1<<20; {
		pkt := loop.Next()
		if err := p.Write(pkt); err != nil {
			t.Fatal(err)
		}
		if pkt.Track == packetbuf.Video && pkt.Media() {
			pictures++
			if err := p.sendHeartbeat(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := p.Unpublish(); err != nil {
		t.Error(err)
	}
	if owed := p.Sent() - p.Acked(); owed > 2*ackWindow {
		t.Errorf("%d of %d bytes acknowledged", p.Acked(), p.Sent())
	}
	t.Logf("sent %d, acknowledged %d", p.Sent(), p.Acked())
	records, err := filepath.Glob(filepath.Join(dir, "cam*.flv"))
	if err != nil || len(records) != 1 {
		t.Fatalf("recorded: %v, %v", records, err)
	}
	ffprobe, err := exec.LookPath("ffprobe")
	if err != nil {
		missing(t, "needs ffprobe to read the recording")
	}
	out, err := exec.Command(ffprobe, "-v", "error", "-count_packets", "-select_streams", "v", //nolint:gosec // the test's own
		"-show_entries", "stream=codec_name,width,height,nb_read_packets", "-of", "csv=p=0", records[0]).CombinedOutput()
	if got, want := strings.TrimSpace(string(out)), fmt.Sprintf("h264,640,360,%d", pictures); err != nil || got != want {
		t.Errorf("recorded %s (%v), want %s", got, err, want)
	}
}

// TestNginxTaken finds the name in use, and then free again.
func TestNginxTaken(t *testing.T) {
	addr, _ := nginx(t)
	url := "rtmp://" + addr + "/plain/cam"
	first, err := dialNginx(t, url)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Dial(t.Context(), Options{URL: url})
	var r *Rejection
	if !errors.As(err, &r) || r.Code != "NetStream.Publish.BadName" || !Retry(err) {
		t.Errorf("a second push: %v", err)
	}
	if err := first.Unpublish(); err != nil {
		t.Error(err)
	}
	second, err := Dial(t.Context(), Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
}

// TestNginxDenies is turned away by nginx-rtmp, at once or right after publish.
func TestNginxDenies(t *testing.T) {
	addr, _ := nginx(t)
	for _, path := range []string{"/shut/cam", "/nothere/cam"} {
		p, err := dialNginx(t, "rtmp://"+addr+path)
		if err == nil {
			<-p.Done()
			err = p.Err()
		}
		var r *Rejection
		if !errors.As(err, &r) {
			t.Errorf("%s: %v", path, err)
		}
		t.Log(err)
	}
}

// pushClip pushes the clip as it runs from nginx's point of view, until the test or the caller
// ends it.
func pushClip(t *testing.T, p *Push) (stop func()) {
	t.Helper()
	quit, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for loop := testmedia.NewLoop(0); ; {
			select {
			case <-quit:
				return
			case <-tick.C:
			}
			if err := p.Write(loop.Next()); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	return func() {
		close(quit)
		<-stopped
	}
}

// TestNginxPull plays from nginx-rtmp what is pushed to it, to a clean end and to one that is
// not.
func TestNginxPull(t *testing.T) {
	addr, _ := nginx(t)
	for name, want := range map[string]Ending{"clean": EndedUnpublish, "broken": EndedUnpublish} {
		url := "rtmp://" + addr + "/plain/" + name
		p, err := dialNginx(t, url)
		if err != nil {
			t.Fatal(err)
		}
		stop := pushClip(t, p)
		f, err := Pull(t.Context(), Options{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		var got [packetbuf.NumTracks]int
		last := time.Duration(-1)
		for got[packetbuf.Video] < 50 || got[packetbuf.Audio] < 50 {
			pkt, err := f.Read()
			if err != nil {
				t.Fatal(err)
			}
			if pkt.Media() {
				got[pkt.Track]++
			}
			if pkt.Track == packetbuf.Video && pkt.Media() {
				if pkt.DTS <= last {
					t.Errorf("%v after %v", pkt.DTS, last)
				}
				last = pkt.DTS
			}
		}
		if pr := f.Progress(); pr.Received == 0 || (runtime.GOOS == "linux" && pr.RTT == 0) {
			t.Errorf("%+v", pr)
		}
		stop()
		if name == "clean" {
			_ = p.Unpublish()
		} else {
			_ = p.Close()
		}
		_ = f.dial.socket.SetReadDeadline(time.Now().Add(5 * time.Second))
		for err == nil {
			_, err = f.Read()
		}
		t.Logf("%s: %v, %v", name, err, f.Timing())
		if EndingOf(err) != want {
			t.Errorf("%s: %v", name, err)
		}
		_ = f.Close()
	}
	// Nobody publishes that.
	_, err := Pull(t.Context(), Options{URL: "rtmp://" + addr + "/plain/nobody", Timeouts: Timeouts{Media: 300 * time.Millisecond}})
	if a := Attempt(time.Now(), false, nil, err); a.Phase != qos.PhaseMedia || a.Outcome != qos.DialTimeout {
		t.Errorf("%+v", a)
	}
}

func TestNginxProbe(t *testing.T) {
	addr, _ := nginx(t)
	p, err := dialNginx(t, "rtmp://"+addr+"/plain/cam")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	timing, err := Probe(t.Context(), Options{URL: "rtmp://" + addr + "/plain/cam?key=hush"})
	if err != nil || timing[qos.PhaseHandshake] == 0 {
		t.Error(timing, err)
	}
	_, err = Probe(t.Context(), Options{URL: "rtmp://" + addr + "/nothere/cam?key=hush"})
	t.Log(err)
	if Classify(err) == qos.DialOK || strings.Contains(fmt.Sprint(err), "hush") {
		t.Error(err)
	}
}
