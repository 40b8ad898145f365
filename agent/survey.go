package agent

import (
	"context"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Surveyor reads what this host offers to VMs and what its VMs need. Every
// call honours its context.
type Surveyor interface {
	// Offer reads what this host has for VMs.
	Offer(ctx context.Context) (*cluster.Offer, error)
	// Needs reads what every active VM needs, by UUID.
	Needs(ctx context.Context) (map[string]*cluster.Need, error)
	// Starts lists the VMs, sorted, that are off here, but that libvirt starts
	// with this host.
	Starts(ctx context.Context) ([]string, error)
	// Need reads what one VM needs now.
	Need(ctx context.Context, vm string) (*cluster.Need, error)
	// Busy says which job keeps a VM from being migrated now, "" if none does.
	Busy(ctx context.Context, vm string) (string, error)
	// Takes asks this host's hypervisor itself whether it could run a VM; nil:
	// it could.
	Takes(ctx context.Context, n *cluster.Need) (*cluster.Hindrance, error)
	// Rooms lists where this host's libvirt makes images, sorted by directory.
	Rooms(ctx context.Context) ([]cluster.Room, error)
	// Reach opens another host's libvirt.
	Reach(ctx context.Context, peerURI string) error
}
