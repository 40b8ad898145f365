package lab

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDemoIsFourBusyGuestsOnOneOfTwoHosts(t *testing.T) {
	s, err := LoadScenario("demo")
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Hypervisors) != 2 || !s.Witness || s.Mode != "recommend" || len(s.Guests) != 4 {
		t.Fatalf("demo is %+v", s)
	}
	for _, g := range s.Guests {
		if g.On != "hv1" || g.Load != "cpu:100" || g.VCPUs != 1 || g.Memory != 128<<20 {
			t.Errorf("guest %+v", g)
		}
	}
}

func TestScenarioFileFillsDefaults(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.yaml")
	text := `
hypervisors: [{name: a, cpus: "0-1", memory: 8GiB}, {name: b}]
guests: [{name: g, on: b}]
mode: auto
policy: {cooldown: 20s, per_host: "2"}
for: 90s
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := LoadScenario(path)
	if err != nil {
		t.Fatal(err)
	}
	want := Scenario{
		Hypervisors: []Hypervisor{{Name: "a", CPUs: "0-1", Memory: 8 << 30}, {Name: "b", Memory: 4 << 30}},
		Guests:      []Guest{{Name: "g", On: "b", VCPUs: 1, Memory: 128 << 20}},
		Mode:        "auto", Policy: map[string]string{"cooldown": "20s", "per_host": "2"}, For: 90 * time.Second,
		Transport: TransportRelay,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestScenarioIsStrict(t *testing.T) {
	const hosts = "hypervisors: [{name: hv1}]\n"
	for _, tt := range []struct{ text, want string }{
		{"", "no documents"},
		{"hypervisors: []", "0 hypervisors"},
		{hosts + "gests: []\n", "gests"},
		{hosts + hosts, "hypervisors"},
		{"hypervisors: [{name: hv1, cpu: 1}]\n", "line 1"},
		{"hypervisors: [{name: Hv1}]\n", "must match"},
		{"hypervisors: [{name: a-name-too-long-for-an-interface}]\n", "must match"},
		{"hypervisors: [{name: witness}]\n", "must match"},
		{"hypervisors: [{name: switch}]\n", "must match"},
		{"hypervisors: [{name: a}, {name: a}]\n", "taken"},
		{"hypervisors: [{name: a, cpus: 3-1}]\n", "CPU list"},
		{"hypervisors: [{name: a, cpus: 0-99999}]\n", "CPU list"},
		{"hypervisors: [{name: a, memory: 4G}]\n", "size"},
		{"hypervisors: [{name: a, memory: 1KiB}]\n", "between"},
		{"hypervisors: [{name: a, memory: -1GiB}]\n", "size"},
		{hosts + "guests: [{name: g, on: hv9}]\n", "none of the hypervisors"},
		{hosts + "guests: [{name: g, on: hv1}, {name: g, on: hv1}]\n", "taken"},
		{hosts + "guests: [{name: g, on: hv1, vcpus: -1}]\n", "vcpus"},
		{hosts + "guests: [{name: g, on: hv1, memory: 1MiB}]\n", "between"},
		{hosts + "guests: [{name: ../g, on: hv1}]\n", "must match"},
		{hosts + "guests: [{name: g, on: hv1, load: cpu:200}]\n", "0 to 100"},
		{hosts + "guests: [{name: g, on: hv1, disk: {size: 1GiB, aoi: native}}]\n", "aoi"},
		{hosts + "guests: [{name: g, on: hv1, disk: {size: 1KiB}}]\n", "between"},
		{hosts + "guests: [{name: g, on: hv1, disk: {aio: posix}}]\n", "io_uring"},
		{hosts + "guests: [{name: g, on: hv1, disk: {cache: unsafe}}]\n", "directsync"},
		{hosts + "guests: [{name: g, on: hv1, disk: {aio: native, cache: writeback}}]\n", "needs cache none"},
		{hosts + "guests: [{name: g, on: hv1, disk: {aio: native, served: true}}]\n", "served over the network"},
		{hosts + "guests: [{name: g, on: hv1, disk: {shared: true, served: true}}]\n", "choose one"},
		{hosts + "guests: [{name: g, on: hv1, disk: {load: \"read:1x1@1m\"}}]\n", "multiple of 512"},
		{hosts + "mode: yolo\n", "recommend"},
		{hosts + "for: -1s\n", "negative"},
		{"hypervisors: [" + strings.Repeat("{name: a},", 40) + "]\n", "40 hypervisors"},
		{"\x00", "scenario t"},
	} {
		if _, err := ParseScenario("t", []byte(tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want an error with %q", tt.text, err, tt.want)
		}
	}
}

func TestDiskFillsDefaults(t *testing.T) {
	s, err := ParseScenario("t", []byte("hypervisors: [{name: hv1}]\nguests: [{name: g, on: hv1, disk: {}}, {name: h, on: hv1}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&Disk{Size: 64 << 20, AIO: "threads", Cache: "none"}, s.Guests[0].Disk); diff != "" || s.Guests[1].Disk != nil {
		t.Errorf("%s; and without one %+v", diff, s.Guests[1].Disk)
	}
}

func TestUnknownScenarioNamesTheBuiltIn(t *testing.T) {
	_, err := LoadScenario("no-such-scenario")
	if err == nil || !strings.Contains(err.Error(), "demo") {
		t.Errorf("error %v", err)
	}
}

func FuzzParseScenario(f *testing.F) {
	demo, err := builtin.ReadFile("scenarios/demo.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(demo)
	f.Add([]byte("hypervisors: [{name: a, memory: 1GiB}]\nfor: 1h\n"))
	f.Add([]byte("hypervisors: [{name: a}]\nguests: [{name: g, on: a, disk: {size: 1MiB, load: \"read:4096x1@1m\"}}]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := ParseScenario("fuzz", data)
		if err == nil && s.Check() != nil {
			t.Fatalf("accepted %q, which does not pass its own check", data)
		}
	})
}
