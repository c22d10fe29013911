package configs

import (
	"context"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settleTime lets an editor or a volume's update finish before the file is read.
const settleTime = 200 * time.Millisecond

// Watch calls changed after the file has changed, until ctx ends. It watches the folder: an
// editor replaces the file, and a mounted volume the link to it. The error says that the
// system cannot watch.
func Watch(ctx context.Context, file string, changed func()) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	defer w.Close()
	if err := w.Add(filepath.Dir(file)); err != nil {
		return err
	}
	real, _ := filepath.EvalSymlinks(file)
	settled := time.NewTimer(settleTime)
	settled.Stop()
	defer settled.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-w.Events:
			target, _ := filepath.EvalSymlinks(file)
			same := filepath.Clean(e.Name) == filepath.Clean(file) && e.Op&(fsnotify.Write|fsnotify.Create|fsnotify.Rename) != 0
			if same || target != real {
				real = target
				settled.Reset(settleTime)
			}
		case <-w.Errors:
		case <-settled.C:
			changed()
		}
	}
}
