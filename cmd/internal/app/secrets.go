package app

import "github.com/holdfast-live/holdfast/configs"

// configuredSecrets returns all secrets of a configuration. Some of them may be empty.
func configuredSecrets(cfg *configs.Config) []string {
	all := []string{cfg.Admin.Token, cfg.Defaults.PlaySecret, cfg.Resume.Key}
	all = append(all, cfg.Defaults.PublishKeys...)
	for i := range cfg.Streams {
		all = append(append(all, cfg.Streams[i].PlaySecret), cfg.Streams[i].PublishKeys...)
	}
	for i := range cfg.Hooks {
		all = append(all, cfg.Hooks[i].Secret)
	}
	for _, i := range cfg.WebRTC.ICEServers {
		all = append(all, i.Secret, i.Credential)
	}
	return all
}
