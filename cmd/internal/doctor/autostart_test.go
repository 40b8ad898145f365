package doctor

import (
	"context"
	"errors"
	"testing"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/config"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

func TestAutostart(t *testing.T) {
	var fails error
	vms := []api.VM{{UUID: "a", Name: "db", Host: "hv2"}, {UUID: "b", Name: "web", Host: "hv1"}, {UUID: "c", Name: "lost"}}
	v := &visit{
		Patient: Patient{VMs: func(context.Context, string) ([]api.VM, error) { return vms, fails }},
		cfg:     config.Config{Role: cluster.RoleHypervisor, Host: config.Host{Name: "hv1"}}, configured: true,
	}
	v.starts = []string{"b", "c", "d"} // one comes up here, of two nobody knows anything else
	wants(t, v.autostart(t.Context()), Pass, "no VM that runs elsewhere")
	v.starts = []string{"a", "b"}
	wants(t, v.autostart(t.Context()), Fail, "db, which runs on hv2 | virsh autostart --disable a")
	fails = errors.New("no leader")
	wants(t, v.autostart(t.Context()), Skip, "no leader")
	v.daemon = errors.New("nobody")
	wants(t, v.autostart(t.Context()), Skip, "no evenkeeld answers")
	v.listed = errNotLooked
	wants(t, v.autostart(t.Context()), Skip, "libvirt does not list VMs")
	v.cfg.Role = cluster.RoleWitness
	wants(t, v.autostart(t.Context()), Skip, noVMs)
}
