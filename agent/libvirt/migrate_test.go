package libvirt

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	golibvirt "github.com/digitalocean/go-libvirt"

	"github.com/evenkeel/evenkeel/agent"
)

func TestMigrateFlags(t *testing.T) {
	const base = golibvirt.MigrateLive | golibvirt.MigratePeer2peer
	for want, r := range map[golibvirt.DomainMigrateFlags]agent.MigrateRequest{
		base: {},
		base | golibvirt.MigratePersistDest | golibvirt.MigrateUndefineSource: {Persist: true, Undefine: true},
		base | golibvirt.MigratePersistDest:                                   {Persist: true},
		base | golibvirt.MigrateUnsafe:                                        {Unsafe: true},
		base | golibvirt.MigratePostcopy:                                      {PostCopy: true},
		base | golibvirt.MigrateTLS:                                           {TLS: true},
		base | golibvirt.MigratePaused:                                        {ArrivePaused: true},
		base | golibvirt.MigrateParallel:                                      {Parallel: 2},
		base | golibvirt.MigrateAutoConverge:                                  {AutoConverge: true},
		base | golibvirt.MigrateNonSharedDisk:                                 {CopyDisks: []string{"vda"}},
	} {
		if got := migrateFlags(r); got != want {
			t.Errorf("%+v: flags %#x, want %#x", r, got, want)
		}
	}
}

func TestMigrateBandwidth(t *testing.T) {
	for bytes, mib := range map[int64]uint64{1: 1, 1 << 20: 1, 1<<20 + 1: 2, 100 << 20: 100, 1<<63 - 1: maxBandwidth} {
		params, err := migrateParams(agent.MigrateRequest{PeerURI: "qemu+tcp://h/system", MigrateURI: "tcp://h", BandwidthBytesPerSec: bytes})
		if err != nil {
			t.Fatal(err)
		}
		if got := params[len(params)-1]; got.Field != golibvirt.MigrateParamBandwidth || got.Value.I != mib {
			t.Errorf("%d bytes/s: %+v, want %d MiB/s", bytes, got, mib)
		}
	}
}

func TestMigrateParallel(t *testing.T) {
	for wanted, want := range map[int]int{0: 0, 1: 0, 2: 2, 16: 16} {
		params, err := migrateParams(agent.MigrateRequest{PeerURI: "qemu+tcp://h/system", MigrateURI: "tcp://h", Parallel: wanted})
		if err != nil {
			t.Fatal(err)
		}
		got := params[len(params)-1]
		if (got.Field == golibvirt.MigrateParamParallelConnections) != (want > 0) || want > 0 && got.Value.I != int32(want) {
			t.Errorf("%d connections: %+v, want %d", wanted, got, want)
		}
	}
}

// Without being told which, libvirt would copy the disks that both hosts share.
func TestMigrateDisks(t *testing.T) {
	r := agent.MigrateRequest{PeerURI: "qemu+tcp://h/system", MigrateURI: "tcp://h", CopyDisks: []string{"vda", "vdc"}, DisksURI: "unix:///run/d"}
	params, err := migrateParams(r)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range params[1:] {
		got = append(got, p.Field+"="+fmt.Sprint(p.Value.I))
	}
	if want := []string{"migrate_disks=vda", "migrate_disks=vdc", "disks_uri=unix:///run/d"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	r.CopyDisks = nil
	if params, err := migrateParams(r); err != nil || len(params) != 1 {
		t.Errorf("nothing is to be copied: %+v, %v", params, err)
	}
}

func TestMigrateRefuses(t *testing.T) {
	good := agent.MigrateRequest{PeerURI: "qemu+tcp://10.99.0.3/system", MigrateURI: "tcp://10.99.0.3"}
	if params, err := migrateParams(good); err != nil || len(params) != 1 {
		t.Fatalf("%v, %v", params, err)
	}
	for what, change := range map[string]func(*agent.MigrateRequest){
		"no peer":            func(r *agent.MigrateRequest) { r.PeerURI = "" },
		"no migration URI":   func(r *agent.MigrateRequest) { r.MigrateURI = "" },
		"a host name":        func(r *agent.MigrateRequest) { r.MigrateURI = "hv2" },
		"blanks":             func(r *agent.MigrateRequest) { r.PeerURI = "qemu+tcp://a b/" },
		"line feed":          func(r *agent.MigrateRequest) { r.MigrateURI = "tcp://h\n" },
		"too long":           func(r *agent.MigrateRequest) { r.PeerURI = "qemu://" + strings.Repeat("h", 1024) },
		"negative bandwidth": func(r *agent.MigrateRequest) { r.BandwidthBytesPerSec = -1 },
		"negative parallel":  func(r *agent.MigrateRequest) { r.Parallel = -1 },
		"parallel":           func(r *agent.MigrateRequest) { r.Parallel = maxParallel + 1 },
		"negative downtime":  func(r *agent.MigrateRequest) { r.MaxDowntime = -time.Second },
		"no downtime":        func(r *agent.MigrateRequest) { r.MaxDowntime = time.Microsecond },
		"a nameless disk":    func(r *agent.MigrateRequest) { r.CopyDisks = []string{""} },
		"a disk twice":       func(r *agent.MigrateRequest) { r.CopyDisks = []string{"vda", "vda"} },
		"too many disks":     func(r *agent.MigrateRequest) { r.CopyDisks = make([]string, maxDisks+1) },
		"no disks URI":       func(r *agent.MigrateRequest) { r.CopyDisks, r.DisksURI = []string{"vda"}, "/run/d" },
		"endless downtime":   func(r *agent.MigrateRequest) { r.MaxDowntime = time.Hour },
	} {
		r := good
		change(&r)
		if _, err := migrateParams(r); err == nil {
			t.Errorf("%s was taken", what)
		}
	}
}
