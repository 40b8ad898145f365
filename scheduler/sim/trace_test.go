package sim_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
	"github.com/evenkeel/evenkeel/scheduler/sim"
)

// ofTraces is a scenario of a fleet that is made of traces.
func ofTraces(kind string, seed, hosts, vms, load int) (sim.Scenario, error) {
	return sim.Parse(kind, fmt.Sprintf("for 2m\ntick 1s\nseed %d\nset profile=fast warm_up=0s\ntraces %s path=x hosts=%d vms=%d load=%d%% filled=50%%", seed, kind, hosts, vms, load))
}

func packed(t testing.TB, text []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// FuzzTraces: whatever trace files hold, a fleet comes of them that can be played,
// or an error; the same packed and plain, and the same again.
func FuzzTraces(f *testing.F) {
	f.Add([]byte("a 0 50 100\nb 10 20 30\n"), []byte("id vcpus mhz mib\na 2 4000 1024\nb 1 0 0\n"))
	f.Add([]byte("a 1\na 2"), []byte(""))
	f.Add([]byte("\x1f\x8b"), []byte("id\na 1024 1 1"))
	f.Fuzz(func(t *testing.T, samples, list []byte) {
		if bytes.HasPrefix(samples, []byte{0x1f, 0x8b}) || len(samples)+len(list) > 1<<12 {
			playTraces(t, "planetlab", fstest.MapFS{"d.txt.gz": {Data: samples}})
			return
		}
		plain := playTraces(t, "planetlab", fstest.MapFS{"d.txt": {Data: samples}})
		if again := playTraces(t, "planetlab", fstest.MapFS{"d.txt": {Data: packed(t, samples)}}); !reflect.DeepEqual(plain, again) {
			t.Fatalf("a packed file makes another fleet: %+v, plain %+v", again, plain)
		}
		playTraces(t, "bitbrains", fstest.MapFS{"vms.txt": {Data: list}, "cpu_mhz.txt.gz": {Data: samples}})
	})
}

// playTraces makes a fleet and plays it for a moment.
func playTraces(t *testing.T, kind string, files fs.FS) sim.Scenario {
	s, err := ofTraces(kind, 1, 2, 3, 60)
	if err != nil {
		t.Fatal(err)
	}
	s, err = s.Load(func(string) (fs.FS, error) { return files, nil })
	if err != nil {
		return sim.Scenario{}
	}
	withinBounds(t, s)
	if _, err := sim.Run(s, ""); err != nil {
		t.Fatalf("%s: it was loaded, but cannot be played: %v", kind, err)
	}
	return s
}

// withinBounds asks that no VM wants more than its vCPUs, and that each fits where
// it is.
func withinBounds(t *testing.T, s sim.Scenario) {
	t.Helper()
	free := map[string]cluster.Bytes{}
	for _, h := range s.Hosts {
		free[h.Name] = h.Memory
	}
	for _, v := range s.VMs {
		for i, c := range v.Trace.CPU {
			if c < 0 || c > cluster.MilliCPU(v.VCPUs)*1000 {
				t.Fatalf("%s of %d vCPUs asks for %v in sample %d", v.Name, v.VCPUs, c, i)
			}
		}
		if free[v.On] -= v.Memory + cluster.VMOverhead; free[v.On] < 0 {
			t.Fatalf("%s holds more than its memory with %s", v.On, v.Name)
		}
	}
}

// Fleets of the public traces ask for the load that was asked for, are the same by
// the same seed, and are played with each VM in one place.
func TestLawFleetsOfTraces(t *testing.T) {
	const data = "../../../shared/data/traces/"
	for kind, folder := range map[string]string{"planetlab": "planetlab", "bitbrains": "bitbrains-rnd"} {
		if _, err := os.Stat(data + folder); err != nil {
			if slices.Contains(strings.Split(os.Getenv("EVENKEEL_REQUIRE"), ","), "data") {
				t.Fatalf("EVENKEEL_REQUIRE names data: %v", err)
			}
			t.Skip(err)
		}
		files := func(string) (fs.FS, error) { return os.DirFS(data + folder), nil }
		for seed := range 2 {
			asked, err := ofTraces(kind, seed, 3+seed, 30+10*seed, 50+10*seed)
			if err != nil {
				t.Fatal(err)
			}
			s, err := asked.Load(files)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := asked.Load(files); err != nil || !reflect.DeepEqual(s, again) {
				t.Fatalf("%s, seed %d: another fleet by the same seed, %v", kind, seed, err)
			}
			withinBounds(t, s)
			asksFor(t, s, float64(50+10*seed)/100)
			o, err := sim.Run(s, "")
			if err != nil {
				t.Fatalf("%s, seed %d: %v", kind, seed, err)
			}
			places := map[string]string{}
			for _, p := range o.Placement {
				for _, vm := range p.VMs {
					if other, twice := places[vm]; twice {
						t.Fatalf("%s is on %s and on %s", vm, other, p.Host)
					}
					places[vm] = p.Host
				}
			}
			if len(places) != len(s.VMs) {
				t.Fatalf("%s, seed %d: %d VMs of %d are somewhere", kind, seed, len(places), len(s.VMs))
			}
		}
	}
}

// asksFor asks that the VMs want so large a share of all CPUs, on average.
func asksFor(t *testing.T, s sim.Scenario, load float64) {
	t.Helper()
	var asked, have float64
	for _, v := range s.VMs {
		sum := 0.0
		for _, c := range v.Trace.CPU {
			sum += c.CPUs()
		}
		asked += sum / float64(len(v.Trace.CPU))
	}
	for _, h := range s.Hosts {
		have += h.CPUs.CPUs()
	}
	if got := asked / have; got < load-0.01 || got > load+0.01 {
		t.Fatalf("VMs ask for %.3f of the CPUs, %.3f was asked for", got, load)
	}
}
