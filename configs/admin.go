package configs

import (
	"strings"

	"github.com/spf13/pflag"
)

// AdminOf returns the group "admin" of the configuration as set by flags, which may be nil, and the
// environment, without a configuration file. If token_file is set, it reads the token from that file. The
// error is of type Faults and contains only faults of that group.
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
