package configs

import "os"

// Files returns the default paths of the configuration file, in order.
func Files() []string { return []string{"./holdfast.yaml", "/etc/holdfast/holdfast.yaml"} }

// Find returns the first of files that exists, or "".
func Find(files []string) string {
	for _, file := range files {
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() {
			return file
		}
	}
	return ""
}
