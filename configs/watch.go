package configs

import (
	"context"
	"path/filepath"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settleTime lets an editor or a volume's update finish before the file is read.
const settleTime = 200 * time.Millisecond

// Watcher notices when the configuration file changes, or a file that it names. It watches their
// folders: an editor replaces a file, and a mounted volume the link to it.
type Watcher struct {
	file string // of the configuration; empty: none
	fs   *fsnotify.Watcher

	mu   sync.Mutex        // guards real
	real map[string]string // what the files lead to, as last seen
}

// NewWatcher watches from now on: made before the file is loaded, no change is missed. The
// error says that the system cannot watch.
func NewWatcher(file string) (*Watcher, error) {
	fs, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	w := &Watcher{file: file, fs: fs, real: map[string]string{}}
	if file == "" {
		return w, nil
	}
	if err := fs.Add(filepath.Dir(file)); err != nil {
		_ = fs.Close()
		return nil, err
	}
	w.real[file] = target(file)
	return w, nil
}

// Watch has the watcher watch these files beside that of the configuration, and none from before. added
// reports whether one is new: it may have changed since it was read. The error says that a folder cannot
// be watched; the others are.
func (w *Watcher) Watch(files []string) (added bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	real := map[string]string{}
	if w.file != "" {
		real[w.file] = w.real[w.file]
	}
	for _, file := range files {
		was, known := w.real[file]
		if !known {
			added = true
			if e := w.fs.Add(filepath.Dir(file)); e != nil {
				err = e
			}
			was = target(file)
		}
		real[file] = was
	}
	w.real = real
	return added, err
}

// target is what a file leads to; empty while there is none.
func target(file string) string {
	real, err := filepath.EvalSymlinks(file)
	if err != nil {
		return ""
	}
	return real
}

// Close ends a watcher that is not run.
func (w *Watcher) Close() error { return w.fs.Close() }

// Run calls changed after each change of a file, until ctx ends; then it closes.
func (w *Watcher) Run(ctx context.Context, changed func()) {
	defer w.fs.Close()
	settled := time.NewTimer(settleTime)
	settled.Stop()
	defer settled.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-w.fs.Events:
			if w.concerns(e) {
				settled.Reset(settleTime)
			}
		case <-w.fs.Errors: //nolint:errcheck // events may have been lost
			settled.Reset(settleTime)
		case <-settled.C:
			changed()
		}
	}
}

// concerns reports whether an event in a folder changes what one of the files says.
func (w *Watcher) concerns(e fsnotify.Event) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	changed := false
	for file, was := range w.real {
		now := target(file)
		w.real[file] = now
		same := filepath.Clean(e.Name) == filepath.Clean(file) && e.Op&(fsnotify.Write|fsnotify.Create) != 0
		changed = changed || now != "" && (same || now != was)
	}
	return changed
}
