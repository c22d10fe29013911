package configs

import (
	"context"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settleTime lets an editor or a volume's update finish before the file is read.
const settleTime = 200 * time.Millisecond

// Watcher notices when the configuration file changes. It watches the folder: an editor
// replaces the file, and a mounted volume the link to it.
type Watcher struct {
	file string
	real string // what file led to when the watcher was made
	fs   *fsnotify.Watcher
}

// NewWatcher watches from now on: made before the file is loaded, no change is missed. The
// error says that the system cannot watch.
func NewWatcher(file string) (*Watcher, error) {
	fs, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	if err := fs.Add(filepath.Dir(file)); err != nil {
		_ = fs.Close()
		return nil, err
	}
	return &Watcher{file: file, real: target(file), fs: fs}, nil
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

// Run calls changed after each change of the file, until ctx ends; then it closes.
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

// concerns tells whether an event in the folder changes what the file says.
func (w *Watcher) concerns(e fsnotify.Event) bool {
	now := target(w.file)
	moved := now != w.real
	w.real = now
	same := filepath.Clean(e.Name) == filepath.Clean(w.file) && e.Op&(fsnotify.Write|fsnotify.Create) != 0
	return now != "" && (same || moved)
}
