package main

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/evenkeel/evenkeel/agent/libvirt"
	"github.com/evenkeel/evenkeel/consensus"
	"github.com/evenkeel/evenkeel/consensus/definitions"
)

// How VMs are defined is read from libvirt when VMs came or went, and every few
// minutes for what was changed in place. Voters are told when it has changed, or
// another one votes, and now and then anyhow: one may have lost its disk.
const (
	lookEvery        = 5 * time.Second
	readDefinitions  = 5 * time.Minute
	tellDefinitions  = time.Hour
	readLimit        = 30 * time.Second
	tellVoterLimit   = 20 * time.Second
	tellAgainAfter   = time.Minute // where a voter could not be told
	definitionsInDir = "definitions"
)

// depositor brings the definitions of this host's VMs to every voter.
type depositor struct {
	read     func(context.Context) ([]libvirt.Text, error)
	revision func() uint64 // of the inventory
	voters   func(context.Context) ([]consensus.Voter, error)
	tell     func(ctx context.Context, addr string, all []definitions.Definition) (sent int, err error)
	log      *slog.Logger

	packed  map[string]definitions.Definition // by VM
	texts   map[string][sha256.Size]byte      // of what is packed, or cannot be
	listing uint64                            // revision as they were read
	readAt  time.Time
	tryAt   time.Time
	told    map[string]telling // by voter
}

// telling is what a voter has been told.
type telling struct {
	sum [sha256.Size]byte
	at  time.Time
}

// openDefinitions opens this member's memory of how VMs are defined. It holds
// up nothing: where it cannot be opened, the other voters have theirs.
func (h *host) openDefinitions() *definitions.Store {
	store, err := definitions.Open(filepath.Join(h.cfg.StateDir, definitionsInDir), time.Now)
	if err != nil {
		h.log.Error("how VMs are defined is not kept here", "err", err)
		return nil
	}
	return store
}

// newDepositor brings what libvirt has to the voters that the leader names.
func (h *host) newDepositor(hypervisor *libvirt.Host) *depositor {
	return &depositor{
		read:     hypervisor.Definitions,
		revision: func() uint64 { return h.agent.Live().Inventory.Revision },
		voters: func(ctx context.Context) ([]consensus.Voter, error) {
			leader, ok := h.uplink.Connected()
			if !ok {
				return nil, nil
			}
			info, err := h.port.Client().Peer(ctx, leader)
			return info.Voters, err
		},
		tell: h.port.Client().Deposit,
		log:  h.log.With("part", "definitions"),
	}
}

// run looks and tells until ctx ends.
func (d *depositor) run(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			d.turn(ctx, time.Now())
		}
	}
}

// turn reads what is due, and tells the voters that do not know.
func (d *depositor) turn(ctx context.Context, now time.Time) {
	revision := d.revision() // before they are read
	if revision == 0 || now.Before(d.tryAt) {
		return // libvirt has not been heard yet
	}
	fresh := false
	if revision != d.listing || now.Sub(d.readAt) >= readDefinitions {
		if err := d.refresh(ctx); err != nil {
			d.tryAt = now.Add(tellAgainAfter)
			d.log.Warn("how VMs are defined is not read", "err", err)
			return
		}
		d.listing, d.readAt, fresh = revision, now, true
	}
	if fresh || len(d.told) == 0 {
		d.tellAll(ctx, now)
	}
}

// refresh reads the definitions, and packs those that have changed.
func (d *depositor) refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	texts, err := d.read(ctx)
	if err != nil {
		return err
	}
	packed, sums := map[string]definitions.Definition{}, map[string][sha256.Size]byte{}
	for _, t := range texts[:min(len(texts), definitions.MaxVMs)] {
		sum := sha256.Sum256([]byte(t.Name + "\x00" + t.XML))
		sums[t.VM] = sum
		if was, known := d.texts[t.VM]; known && was == sum {
			if p, ok := d.packed[t.VM]; ok {
				packed[t.VM] = p
			}
			continue
		}
		p, err := definitions.Pack(t.VM, t.Name, t.XML)
		if err != nil {
			d.log.Warn("a definition is not kept by the voters", "err", err)
			continue
		}
		packed[t.VM] = p
	}
	d.packed, d.texts = packed, sums
	return nil
}

// tellAll tells the voters whose knowledge is not this one, or is old.
func (d *depositor) tellAll(ctx context.Context, now time.Time) {
	asked, cancel := context.WithTimeout(ctx, tellVoterLimit)
	voters, err := d.voters(asked)
	cancel()
	if err != nil || len(voters) == 0 {
		d.tryAt, d.told = now.Add(lookEvery), nil
		return
	}
	all := make([]definitions.Definition, 0, len(d.packed))
	digest := sha256.New()
	for _, vm := range slices.Sorted(maps.Keys(d.packed)) {
		p := d.packed[vm]
		all = append(all, p)
		digest.Write([]byte(p.VM + p.Sum + p.Name + "\x00"))
	}
	sum, told := [sha256.Size]byte(digest.Sum(nil)), map[string]telling{}
	for _, v := range voters {
		if was, known := d.told[v.Member]; known && was.sum == sum && now.Sub(was.at) < tellDefinitions {
			told[v.Member] = was
			continue
		}
		asked, cancel := context.WithTimeout(ctx, tellVoterLimit)
		sent, err := d.tell(asked, v.Address, all)
		cancel()
		if err != nil {
			d.log.Warn("a voter is not told how VMs are defined", "voter", v.Address, "err", err)
			d.readAt = now.Add(tellAgainAfter - readDefinitions) // again then
			continue
		}
		d.log.Debug("a voter keeps how VMs are defined", "voter", v.Address, "vms", len(all), "sent", sent)
		told[v.Member] = telling{sum, now}
	}
	d.told = told
}
