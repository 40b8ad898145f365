package libvirt

import (
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
		base | golibvirt.MigratePersistDest | golibvirt.MigrateUndefineSource: {Persist: true},
		base | golibvirt.MigrateUnsafe:                                        {Unsafe: true},
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
		"negative downtime":  func(r *agent.MigrateRequest) { r.MaxDowntime = -time.Second },
		"no downtime":        func(r *agent.MigrateRequest) { r.MaxDowntime = time.Microsecond },
		"endless downtime":   func(r *agent.MigrateRequest) { r.MaxDowntime = time.Hour },
	} {
		r := good
		change(&r)
		if _, err := migrateParams(r); err == nil {
			t.Errorf("%s was taken", what)
		}
	}
}
