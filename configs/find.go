package configs

import "os"

// Files are where the configuration is looked for, in this order, when none is named.
func Files() []string { return []string{"./holdfast.yaml", "/etc/holdfast/holdfast.yaml"} }

// Find returns the first of files that is there; empty if none is.
func Find(files []string) string {
	for _, file := range files {
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() {
			return file
		}
	}
	return ""
}
