package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/evenkeel/evenkeel/agent/procfs"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// migrationLink is the speed of the network device that has the address to
// which others send VMs, 0 if it is not known.
func migrationLink(ctx context.Context, proc procfs.Reader, address string, log *slog.Logger) cluster.BytesPerSecond {
	device, err := deviceOf(ctx, address)
	var mbit int64
	if err == nil {
		mbit, err = proc.LinkMbit(device)
	}
	if err != nil || mbit == 0 {
		log.Info("the speed of the migrations' link is not known: their bandwidth has no default bound", "address", address, "device", device, "err", err)
	}
	return cluster.BytesPerSecond(mbit * 1_000_000 / 8)
}

// deviceOf finds the network device that has an address, or one of a name's.
func deviceOf(ctx context.Context, address string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	wanted, err := net.DefaultResolver.LookupNetIP(ctx, "ip", address)
	if err != nil {
		return "", err
	}
	devices, err := net.Interfaces()
	if err != nil {
		return "", err
	}
	for _, d := range devices {
		has, err := d.Addrs()
		if err != nil {
			continue // it has just gone
		}
		for _, a := range has {
			prefix, err := netip.ParsePrefix(a.String())
			if err != nil {
				continue
			}
			for _, w := range wanted {
				if prefix.Addr().WithZone("") == w.Unmap().WithZone("") {
					return d.Name, nil
				}
			}
		}
	}
	return "", fmt.Errorf("no network device of this host has the address %.80s", address)
}
