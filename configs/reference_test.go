package configs

import (
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestReference checks configs/holdfast.yaml: it has no fault, and every key with its default.
func TestReference(t *testing.T) {
	cfg, notices, err := Load("holdfast.yaml", nil)
	if err != nil || len(notices) > 0 {
		t.Fatal(err, notices)
	}
	if want := Default(); !reflect.DeepEqual(*cfg, want) {
		t.Errorf("got %+v\nwant %+v", *cfg, want)
	}
	tree, faults := readFile("holdfast.yaml")
	if faults != nil {
		t.Fatal(faults)
	}
	want := fileKeys(reflect.TypeFor[Config](), "")
	got := written(tree, "")
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("the file has %q\nwant %q", got, want)
	}
}

func written(tree map[string]any, prefix string) (out []string) {
	for name, v := range tree {
		out = append(out, prefix+name)
		if group, ok := v.(map[string]any); ok {
			out = append(out, written(group, prefix+name+".")...)
		}
	}
	return out
}

// TestReferenceExamples uncomments the examples of the reference file: they are valid, and a
// group of routes shows every key with its default.
func TestReferenceExamples(t *testing.T) {
	b, err := os.ReadFile("holdfast.yaml")
	if err != nil {
		t.Fatal(err)
	}
	examples := strings.Builder{}
	on := false
	for line := range strings.Lines(string(b)) {
		text, comment := strings.CutPrefix(line, "# ")
		switch {
		case comment && (text == "streams:\n" || text == "push:\n" || text == "pull:\n" || text == "hooks:\n"):
			on = true
		case !comment:
			on = false
		}
		if on {
			examples.WriteString(text)
		}
	}
	cfg, _, err := Load(write(t, examples.String()), nil)
	if err != nil {
		t.Fatalf("got %v in:\n%s", err, examples.String())
	}
	if len(cfg.Streams) != 1 || len(cfg.Push) != 1 || len(cfg.Pull) != 1 {
		t.Fatalf("got %s", examples.String())
	}
	if hook := defaultHook(); len(cfg.Hooks) == 1 {
		hook.URL, hook.Secret, hook.Match = cfg.Hooks[0].URL, cfg.Hooks[0].Secret, cfg.Hooks[0].Match
		if !reflect.DeepEqual(cfg.Hooks[0], hook) {
			t.Errorf("got %+v\nwant %+v", cfg.Hooks[0], hook)
		}
	} else {
		t.Error("there is no hook")
	}
	tree, err := parseYAML([]byte(examples.String()))
	if err != nil {
		t.Fatal(err)
	}
	shown, hookKeys := map[string]bool{}, names(reflect.TypeFor[Hook]())
	for _, list := range []string{"push", "pull"} {
		group := tree[list].([]any)[0].(map[string]any) //nolint:forcetypeassert // it was loaded
		for key := range group {
			shown[key] = true
		}
	}
	for key := range tree["hooks"].([]any)[0].(map[string]any) { //nolint:forcetypeassert // it was loaded
		if i := slices.Index(hookKeys, key); i >= 0 {
			hookKeys = slices.Delete(hookKeys, i, i+1)
		}
	}
	if len(hookKeys) > 0 {
		t.Errorf("the hook does not show %q", hookKeys)
	}
	keys := names(reflect.TypeFor[Group]())
	slices.Sort(keys)
	if got := slices.Sorted(maps.Keys(shown)); !slices.Equal(got, keys) {
		t.Errorf("push and pull show %q, want %q", got, keys)
	}
	want := defaultGroup()
	want.Match, want.Name, want.Routes = cfg.Push[0].Match, cfg.Push[0].Name, cfg.Push[0].Routes
	if !reflect.DeepEqual(cfg.Push[0], want) {
		t.Errorf("got %+v\nwant %+v", cfg.Push[0], want)
	}
}
