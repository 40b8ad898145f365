package api

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

func TestEverySettingHasItsKnob(t *testing.T) {
	typ := reflect.TypeFor[cluster.Settings]()
	names := SettingNames()
	if typ.NumField() != len(names) {
		t.Errorf("cluster.Settings has %d fields, there are %d knobs", typ.NumField(), len(names))
	}
	for i := range typ.NumField() {
		name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
		if i < len(names) && names[i] != name {
			t.Errorf("field %d is %q, knob %d is %q: keep them in the same order", i, name, i, names[i])
		}
	}
}

// What `policy show` prints, `policy set` takes: for each setting, through
// the JSON that lies between.
func TestSettingsAreWrittenAsTheyAreShown(t *testing.T) {
	before := cluster.DefaultSettings()
	before.Bandwidth, before.MemoryRatio = cluster.BytesPerSecond(100*cluster.MiB), 1_250_000
	data, err := json.Marshal(settingsOf(before))
	if err != nil {
		t.Fatal(err)
	}
	var shown map[string]any
	if err := json.Unmarshal(data, &shown); err != nil {
		t.Fatal(err)
	}
	changes := map[string]string{}
	for _, k := range Knobs() {
		changes[k.Name] = strings.ReplaceAll(k.Text(shown[k.Name]), " ", "")
	}
	after, err := turn(cluster.Settings{}, changes)
	if err != nil {
		t.Fatal(err)
	}
	if after != before {
		t.Errorf("%+v\nbecame\n%+v", before, after)
	}
}

func TestParseRatio(t *testing.T) {
	for text, want := range map[string]cluster.Ratio{"10%": 100_000, " 2.5 %": 25_000, "0.1": 100_000, "0": 0, "1": cluster.Whole, "100%": cluster.Whole} {
		if got, err := ParseRatio(text); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "%", "101%", "-1%", "1.1", "NaN", "Inf", "ten", "10%%", "0x1p-2%x"} {
		if got, err := ParseRatio(text); err == nil {
			t.Errorf("%q is taken as %v", text, got)
		}
	}
}

// A factor of 1 is the setting as it was before it existed.
func TestMemoryRatioIsAFactor(t *testing.T) {
	for text, want := range map[string]cluster.Ratio{"1": 0, "1.0": 0, "1.5": 1_500_000, "4": 4 * cluster.Whole, "0.5": 500_000} {
		if set, err := turn(cluster.Settings{}, map[string]string{"memory_ratio": text}); err != nil || set.MemoryRatio != want {
			t.Errorf("%q: %d, %v; want %d", text, set.MemoryRatio, err, want)
		}
	}
	for _, text := range []string{"", "0", "-1", "150%", "NaN", "Inf", "1e9", "two"} {
		if set, err := turn(cluster.Settings{}, map[string]string{"memory_ratio": text}); err == nil {
			t.Errorf("%q is taken as %v", text, set.MemoryRatio)
		}
	}
}

// FuzzRatio: a share is between nothing and all, or refused.
func FuzzRatio(f *testing.F) {
	for _, seed := range []string{"10%", "0.1", "NaN", "Inf", "-0", "1e-9", "1e999%", "100.0001%", " 5 % ", "0x1p-2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if r, err := ParseRatio(text); err == nil && (r < 0 || r.Float() > 1) {
			t.Errorf("%q is %v", text, r)
		}
	})
}
