package configs

import (
	"strings"

	"github.com/spf13/pflag"
)

// AdminOf returns the group admin from flags, which may be nil, and the environment, without a
// configuration file. It reads the token from token_file if that is set. Its error is Faults of
// that group.
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
		places{}.setPlaces(faults, from)
		return Admin{}, faults
	}
	return cfg.Admin, nil
}
