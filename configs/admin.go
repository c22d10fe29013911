package configs

import (
	"strings"

	"github.com/spf13/pflag"
)

// AdminOf returns the admin group as flags (nil: none) and the environment set it, without a configuration
// file. Its token is read from token_file where they name one. Its error is Faults, those of the group.
func AdminOf(flags *pflag.FlagSet) (Admin, error) {
	cfg := Default()
	all, from := override(&cfg, flags)
	var faults Faults
	for _, f := range all {
		if strings.HasPrefix(f.Key, "admin.") {
			faults = append(faults, f)
		}
	}
	r := &secretReader{}
	r.one("admin.token_file", cfg.Admin.TokenFile, &cfg.Admin.Token)
	if faults = append(faults, r.faults...); len(faults) > 0 {
		places{}.put(faults, from)
		return Admin{}, faults
	}
	return cfg.Admin, nil
}
