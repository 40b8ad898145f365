package api

import "github.com/evenkeel/evenkeel/scheduler/cluster"

// Settings are the policy that the whole cluster shares, in base units:
// ratios as fractions, durations in seconds, bandwidth in bytes per second.
type Settings struct {
	Head
	Settings map[string]any `json:"settings"`
	Quiet    *QuietHours    `json:"quiet"` // null: none
}

// UnsafeWarning is said wherever the setting unsafe is on.
const UnsafeWarning = "the setting unsafe is true: VMs move whose disks' caches may keep back what they wrote, and may lose it"

// SettingsRequest changes settings by name; a value is what `evenkeel policy
// set` takes: 30s, 10%, 100MiB, true, a number or a word.
type SettingsRequest struct {
	Act
	Set map[string]string `json:"set"`
}

// settingsOf shows settings by name.
func settingsOf(set cluster.Settings) map[string]any {
	out := make(map[string]any, len(knobs))
	for _, k := range knobs {
		out[k.Name] = k.show(&set)
	}
	return out
}
