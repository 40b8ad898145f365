package agent_test

import (
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/agent"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// What the policy takes upon itself, and what the way to the target asks for,
// reaches libvirt; without either it does not.
func TestUnsafeAndEncrypted(t *testing.T) {
	for name, c := range map[string]struct {
		peer   string
		unsafe bool
		state  cluster.MoveState
		code   cluster.Code
		want   agent.MigrateRequest
	}{
		"tls encrypts the memory as well":          {"qemu+tls://x/system", true, cluster.MoveDone, "", agent.MigrateRequest{TLS: true, Unsafe: true}},
		"tcp does not":                             {"qemu+tcp://x/system", true, cluster.MoveDone, "", agent.MigrateRequest{Unsafe: true}},
		"a dangerous cache stays without the word": {"qemu+tcp://x/system", false, cluster.MoveReleased, cluster.CodeUnsafeCache, agent.MigrateRequest{}},
	} {
		story(t, name, func(t *testing.T, st *stage) {
			operator := cluster.Actor{Kind: cluster.KindOperator, ID: "op", Name: "ann"}
			set := st.state().Settings
			set.AllowUnsafe = c.unsafe
			st.must(cluster.Command{Level: 1, Actor: operator, Body: cluster.SetSettings{Settings: set}})
			m, _ := st.state().Member(hvB)
			m.MigrationPeerURI = c.peer
			st.must(cluster.Command{Level: 1, Actor: cluster.Actor{Kind: cluster.KindAgent, ID: hvB}, Body: cluster.Announce{Cluster: clusterID, Member: m}})
			a, b := likeHosts()
			st.describe(a, b)
			a.need.Disks = []cluster.Disk{{Target: "vda", Kind: "network", Storage: "nbd n:1", Cache: "unsafe"}}
			st.start(hvA, nil)
			st.start(hvB, nil)
			st.order()
			expect(t, st.play(20*time.Second), c.state, c.code)
			if r := st.world.asked; r.TLS != c.want.TLS || r.Unsafe != c.want.Unsafe {
				t.Errorf("libvirt was asked for %+v", r)
			}
		})
	}
}
