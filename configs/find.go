package configs

import "os"

// Files returns the default paths of the configuration file, in the order in which they are tried.
func Files() []string { return []string{"./holdfast.yaml", "/etc/holdfast/holdfast.yaml"} }

// Find returns the first of the paths that is an existing regular file, or "" if none is.
func Find(files []string) string {
	for _, file := range files {
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() {
			return file
		}
	}
	return ""
}
