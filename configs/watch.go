package configs

import (
	"context"
	"path/filepath"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settleTime is how long no further change must occur before the file is read, so that an editor or the
// update of a volume can finish.
const settleTime = 200 * time.Millisecond

// Watcher detects changes of the configuration file and of the files that it names. It watches their
// directories, because editors replace files and mounted volumes replace symbolic links.
type Watcher struct {
	file string // configuration file; may be empty
	fs   *fsnotify.Watcher

	mu   sync.Mutex        // guards real
	real map[string]string // paths of the files after resolving links, when last checked
}

// NewWatcher starts to watch the configuration file, unless file is empty. If it is called before the file
// is loaded, no change is missed. It returns an error if the system cannot watch files.
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

// Watch sets the files to watch in addition to the configuration file. added reports whether any of them was
// not watched before and so may have changed since it was read. If a directory cannot be watched, Watch
// returns an error, but still watches the others.
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

// target returns the path of a file after resolving links, or "" if the file does not exist.
func target(file string) string {
	real, err := filepath.EvalSymlinks(file)
	if err != nil {
		return ""
	}
	return real
}

// Close closes the watcher. It is needed only if Run is not called.
func (w *Watcher) Close() error { return w.fs.Close() }

// Run calls the function changed after each change of a watched file. When ctx is done, Run closes the
// watcher and returns.
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

// concerns reports whether an event in a directory changes the content of one of the files.
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
