package configs

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// secretFile creates a file that only its owner can read.
func secretFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	put(t, file, text)
	return file
}

func TestSecretFiles(t *testing.T) {
	token, secret, other := secretFile(t, "the-token\n"), secretFile(t, "north\r\n"), secretFile(t, "south")
	keys := secretFile(t, "# of the studio\none\n\n  two # not a comment \r\n#three\n")
	cfg, _ := load(t, `
admin: {token_file: `+token+`}
defaults: {play_secret_file: `+secret+`, publish_keys_file: `+keys+`}
streams:
  - {match: "a/*"}
  - {match: "b/*", play_secret: own, publish_keys: [k]}
  - {match: "c/*", play_secret_file: `+other+`}
  - {match: "d/*", play_secret: "", publish_keys: []}
`)
	if cfg.Admin.Token != "the-token" {
		t.Errorf("admin.token is %q", cfg.Admin.Token)
	}
	both := []string{"one", "two # not a comment"}
	for name, want := range map[string]struct {
		secret string
		keys   []string
	}{
		"x/y": {"north", both}, "a/x": {"north", both}, "b/x": {"own", []string{"k"}}, "c/x": {"south", both}, "d/x": {"", nil},
	} {
		if s := cfg.Stream(name); s.PlaySecret != want.secret || !slices.Equal(s.PublishKeys, want.keys) {
			t.Errorf("%s has %q and %q, want %+v", name, s.PlaySecret, s.PublishKeys, want)
		}
	}
	if got, want := cfg.SecretFiles(), []string{token, secret, keys, other}; !slices.Equal(got, want) {
		t.Errorf("the files are %q, want %q", got, want)
	}
}

// Flags override the environment, which overrides the file, whichever of a pair they set.
// Setting both of a pair in one place is a fault.
func TestSecretFilePrecedence(t *testing.T) {
	file := secretFile(t, "from-a-file")
	inFile := "admin: {token: in-the-configuration}\n"
	named := "admin: {token_file: " + file + "}\n"
	for _, tt := range []struct {
		name, config string
		env, args    []string
		want, err    string
	}{
		{"environment's file before the configuration", inFile, []string{"HOLDFAST_ADMIN_TOKEN_FILE=" + file}, nil, "from-a-file", ""},
		{"environment before the configuration's file", named, []string{"HOLDFAST_ADMIN_TOKEN=env"}, nil, "env", ""},
		{"flag before the environment's file", "", []string{"HOLDFAST_ADMIN_TOKEN_FILE=" + file}, []string{"--admin.token=flag"}, "flag", ""},
		{"flag's file before the environment", "", []string{"HOLDFAST_ADMIN_TOKEN=env"}, []string{"--admin.token_file=" + file}, "from-a-file", ""},
		{"both in the configuration", "admin: {token: x, token_file: " + file + "}\n", nil, nil, "", "admin.token_file: token and token_file exclude each other; remove one of them"},
		{"both in the environment", "", []string{"HOLDFAST_ADMIN_TOKEN=x", "HOLDFAST_ADMIN_TOKEN_FILE=" + file}, nil, "", "exclude each other"},
		{"both by flags", "", nil, []string{"--admin.token=x", "--admin.token_file=" + file}, "", "exclude each other"},
		{"one of them empty", "admin: {token: '', token_file: " + file + "}\n", nil, nil, "from-a-file", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, kv := range tt.env {
				key, value, _ := strings.Cut(kv, "=")
				t.Setenv(key, value)
			}
			cfg, _, err := Load(write(t, tt.config), flags(t, tt.args...))
			switch {
			case tt.err != "":
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error %v, want %q", err, tt.err)
				}
			case err != nil:
				t.Error(err)
			case cfg.Admin.Token != tt.want:
				t.Errorf("the token is %q, want %q", cfg.Admin.Token, tt.want)
			}
		})
	}
}

// A file without secrets is a fault, because it would open what it should protect.
func TestBadSecretFiles(t *testing.T) {
	empty, comments, long := secretFile(t, "\n"), secretFile(t, "# none yet\n"), secretFile(t, "one\ntwo\n")
	config := write(t, "defaults:\n  play_secret_file: "+empty+"\n  publish_keys_file: "+comments+"\nstreams:\n  - match: 'a/*'\n  - match: 'b/*'\n    play_secret_file: "+long+"\n    publish_keys_file: /nowhere/keys\n  - match: 'c/*'\n    play_secret: x\n    play_secret_file: y\n")
	_, err := Read(config, nil)
	got := strings.Split(placed(t, err), "\n")
	want := []string{
		config + ":2: defaults.play_secret_file: " + empty + " is empty; write the secret into it; make one with: openssl rand -base64 33",
		config + ":3: defaults.publish_keys_file: " + comments + " holds no key; write one on each line; without any, publishing would be open to everyone",
		config + ":7: streams[1].play_secret_file: " + long + " has more than one line; write the secret alone into it",
		config + ":8: streams[1].publish_keys_file: open /nowhere/keys: no such file or directory; name a file that can be read",
		config + ":11: streams[2].play_secret_file: open y: no such file or directory; name a file that can be read",
		config + ":11: streams[2].play_secret_file: play_secret and play_secret_file exclude each other; remove one of them",
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestSecretFilePermissions(t *testing.T) {
	file := secretFile(t, "Zt2wyuTBfPFmNQ8gP7ZCHWCZLxUgkHnPXkC9Rzt5U2Wv")
	for mode, want := range map[os.FileMode]bool{0o600: false, 0o400: false, 0o640: false, 0o644: true, 0o660: true, 0o604: true} {
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		cfg, _ := load(t, "defaults: {play_secret_file: "+file+"}\nstreams: [{match: 'a/*'}]\n")
		got := cfg.Warnings()
		if (len(got) == 1) != want || len(got) > 1 || want && !strings.HasPrefix(got[0], fmt.Sprintf("defaults.play_secret_file: other users can read or change %s (%04o); run chmod 640 %[1]s, and chgrp holdfast ", file, mode)) {
			t.Errorf("%04o: got %q, want a warning: %v", mode, got, want)
		}
	}
}

// The hint for an unreadable file depends on the reason.
func TestAdviceOnUnreadableFiles(t *testing.T) {
	denied := &os.PathError{Op: "open", Path: "x", Err: os.ErrPermission}
	if got := readable(denied); !strings.Contains(got, "run it with sudo, or as the user of the relay") {
		t.Errorf("without the permission: got %q", got)
	}
	if got := readable(os.ErrNotExist); got != "name a file that can be read" {
		t.Errorf("without the file: got %q", got)
	}
}

// The current secret files are watched, earlier ones no longer.
func TestWatchSecrets(t *testing.T) {
	file, secret := write(t, "one"), secretFile(t, "one")
	w, calls := watching(t, file)
	if added, err := w.Watch([]string{secret}); !added || err != nil {
		t.Fatal(added, err)
	}
	if added, err := w.Watch([]string{secret}); added || err != nil {
		t.Error("a file that was watched is new:", err)
	}
	put(t, secret, "two")
	called(t, calls, "a write to a secret")
	put(t, file, "two")
	called(t, calls, "a write to the configuration")
	if _, err := w.Watch(nil); err != nil {
		t.Fatal(err)
	}
	put(t, secret, "three")
	put(t, file, "three")
	called(t, calls, "a write to the configuration")
	if _, err := w.Watch([]string{"/nowhere/secret"}); err == nil {
		t.Error("a folder that is not there is watched")
	}
}

func TestFind(t *testing.T) {
	first, second := write(t, ""), write(t, "")
	for _, tt := range []struct {
		files []string
		want  string
	}{
		{[]string{first, second}, first}, {[]string{"/nowhere/holdfast.yaml", second}, second}, {[]string{t.TempDir(), second}, second}, {nil, ""},
	} {
		if got := Find(tt.files); got != tt.want {
			t.Errorf("in %q: got %q, want %q", tt.files, got, tt.want)
		}
	}
}
