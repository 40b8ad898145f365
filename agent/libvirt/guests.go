package libvirt

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	golibvirt "github.com/digitalocean/go-libvirt"

	"github.com/evenkeel/evenkeel/agent"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// listed is one active domain as the daemon describes it.
type listed struct {
	dom           golibvirt.Domain
	state, reason int32
	persistent    bool
	was           remembered // what still holds of it, if known says so
	known         bool
	learnt        remembered // else what this listing finds out
	usable        bool       // and that it did
}

// Guests lists the VMs with a live QEMU process, by ascending UUID. Nothing
// asked here takes a VM's job lock or talks to its monitor.
func (h *Host) Guests(ctx context.Context) ([]agent.Guest, error) {
	var doms []listed
	err := h.call(ctx, "list VMs", func(lv *golibvirt.Libvirt) error {
		var err error
		doms, err = h.list(lv)
		return err
	})
	if err != nil {
		return nil, err
	}
	guests := make([]agent.Guest, 0, len(doms))
	seen := make(map[string]bool, len(doms))
	for i := range doms {
		g := h.guest(&doms[i])
		if g.State != agent.RunStateAbsent && !seen[g.UUID] {
			seen[g.UUID] = true
			guests = append(guests, g)
		}
	}
	h.parsed.keep(seen)
	h.notices.keep(seen)
	h.known.keep(seen)
	if err := h.addProcesses(guests, doms); err != nil {
		return nil, err
	}
	h.addLocks(guests, doms)
	slices.SortFunc(guests, func(a, b agent.Guest) int { return strings.Compare(a.UUID, b.UUID) })
	return guests, nil
}

// list asks the daemon. The statistics carry every VM's state in one answer;
// NOWAIT and a group that needs no monitor keep a hung QEMU from blocking it.
func (h *Host) list(lv *golibvirt.Libvirt) ([]listed, error) {
	flags := uint32(golibvirt.ConnectGetAllDomainsStatsActive | golibvirt.ConnectGetAllDomainsStatsNowait)
	records, err := lv.ConnectGetAllDomainStats(nil, uint32(golibvirt.DomainStatsState), flags)
	if err != nil {
		return nil, err
	}
	persistent, _, err := lv.ConnectListAllDomains(1,
		golibvirt.ConnectListDomainsActive|golibvirt.ConnectListDomainsPersistent)
	if err != nil {
		return nil, err
	}
	doms := make([]listed, 0, len(records))
	for _, r := range records {
		d := listed{dom: r.Dom}
		d.state, d.reason = stateOf(r.Params)
		d.persistent = slices.ContainsFunc(persistent, func(p golibvirt.Domain) bool { return p.UUID == r.Dom.UUID })
		err = h.define(lv, &d)
		if golibvirt.IsNotFound(err) {
			continue // it ended since
		}
		if err != nil {
			return nil, err
		}
		doms = append(doms, d)
	}
	return doms, nil
}

func stateOf(params []golibvirt.TypedParam) (state, reason int32) {
	for _, p := range params {
		n, _ := p.Value.I.(int32)
		switch p.Field {
		case golibvirt.DomainStatsStateState:
			state = n
		case golibvirt.DomainStatsStateReason:
			reason = n
		}
	}
	return state, reason
}

// define fills in the VM's definition: as it is remembered, or as the daemon
// tells it now.
func (h *Host) define(lv *golibvirt.Libvirt, d *listed) error {
	uuid, now := formatUUID(d.dom.UUID), time.Now()
	status := h.qemus.statusInfo(d.dom.Name) // before all that is read of the VM
	if d.was, d.known = h.known.recall(uuid, d.dom.Name, status, now, h.qemus.proc); d.known {
		return nil
	}
	def, usable, err := h.describe(lv, d.dom)
	d.learnt = remembered{name: d.dom.Name, status: status, at: now, def: def}
	d.usable = usable
	return err
}

// describe fetches a VM's definition. When libvirt cannot send it (more than
// 4 MiB) or it can't be read, the VM counts with its memory all the same, and
// usable is false.
func (h *Host) describe(lv *golibvirt.Libvirt, dom golibvirt.Domain) (def definition, usable bool, err error) {
	uuid := formatUUID(dom.UUID)
	text, err := lv.DomainGetXMLDesc(dom, 0)
	if golibvirt.IsNotFound(err) || !answered(err) {
		return definition{}, false, err
	}
	if err == nil {
		if def, err = h.parsed.parse(uuid, text); err == nil {
			return def, true, nil
		}
	}
	h.notices.warn(h.log, uuid, "VM definition is not usable", err)
	_, kib, _, _, _, err := lv.DomainGetInfo(dom)
	if err != nil {
		return definition{}, false, err
	}
	bytes, err := memoryBytes(kib, "KiB")
	if err != nil {
		h.notices.warn(h.log, uuid, "VM memory is not known: it counts as more than any host has", err)
		bytes = int64(cluster.MaxMemory)
	}
	return definition{maxMemoryBytes: bytes}, false, nil
}

// guest translates one domain; its process is added later.
func (h *Host) guest(d *listed) agent.Guest {
	def, direction := d.was.def, d.was.direction
	if !d.known {
		def, direction = d.learnt.def, h.direction(d)
	}
	g := agent.Guest{
		UUID: formatUUID(d.dom.UUID), Name: cleanName(d.dom.Name), Persistent: d.persistent,
		MaxMemoryBytes: def.maxMemoryBytes, Order: def.order,
	}
	g.State, g.Migrating = runState(d.state, d.reason)
	g.Migrating = g.Migrating || direction != ""
	g.Incoming = direction == migrationIn && g.State == agent.RunStatePaused
	g.Diskless, g.DisksLocked = def.diskless, def.locked
	return g
}

// direction reads whether the VM has a migration job.
func (h *Host) direction(d *listed) string {
	direction, err := h.qemus.migrationInStatus(d.dom.Name)
	if err != nil {
		h.notices.warn(h.log, formatUUID(d.dom.UUID), "libvirt's status file is not usable", err)
		d.usable = false
	}
	d.learnt.direction = direction
	return direction
}

// addProcesses fills in each guest's QEMU process and vCPU threads. The pid
// files answer for nearly all; the rest shares one look through /proc.
func (h *Host) addProcesses(guests []agent.Guest, doms []listed) error {
	by := make(map[string]listed, len(doms))
	for _, d := range doms {
		by[formatUUID(d.dom.UUID)] = d
	}
	missing := make(map[string]bool)
	for i, g := range guests {
		if d := by[g.UUID]; d.known {
			guests[i].PID, guests[i].VCPUThreads = d.was.pid, d.was.vcpus
			continue
		}
		guests[i].PID = h.qemus.fromPIDFile(g.UUID, by[g.UUID].dom.Name)
		if guests[i].PID == 0 {
			missing[g.UUID] = true
		}
	}
	if len(missing) > 0 {
		found, err := h.qemus.scan(missing)
		if err != nil {
			return err
		}
		for i, g := range guests {
			if missing[g.UUID] {
				guests[i].PID = found[g.UUID]
			}
		}
	}
	for i, g := range guests {
		d := by[g.UUID]
		if d.known {
			continue
		}
		guests[i].PID, guests[i].VCPUThreads = h.vcpus(g)
		if d.usable {
			d.learnt.pid, d.learnt.vcpus = guests[i].PID, guests[i].VCPUThreads
			h.known.learn(g.UUID, d.learnt, h.qemus.proc)
		}
	}
	return nil
}

// addLocks adds the locks of libvirt's lock manager to QEMU's own. What of it
// cannot be read locks nothing; the survey tells of it.
func (h *Host) addLocks(guests []agent.Guest, doms []listed) {
	bare := func(g agent.Guest) bool { return !g.DisksLocked }
	if !slices.ContainsFunc(guests, bare) {
		return
	}
	k, err := h.qemus.keeper()
	if err != nil || k.name == cluster.LocksNone {
		return
	}
	by := make(map[string]*listed, len(doms))
	for i := range doms {
		by[formatUUID(doms[i].dom.UUID)] = &doms[i]
	}
	for i, g := range guests {
		d := by[g.UUID]
		def := d.was.def
		if !d.known {
			def = d.learnt.def
		}
		if _, ok := k.holds(def, d.dom.Name, g.PID); ok && bare(g) {
			guests[i].DisksLocked, guests[i].Diskless = true, false
		}
	}
}

var errNoProcess = errors.New("neither libvirt's pid file nor /proc has one: is /proc mounted with hidepid?")

// vcpus lists a guest's vCPU threads; a process that ended meanwhile is none.
func (h *Host) vcpus(g agent.Guest) (int, []int) {
	if g.PID == 0 {
		h.notices.warn(h.log, g.UUID, "no QEMU process found", errNoProcess)
		return 0, nil
	}
	threads, err := h.qemus.proc.Threads(g.PID)
	if err != nil {
		h.notices.warn(h.log, g.UUID, "QEMU's threads are not readable", err)
		return 0, nil
	}
	return g.PID, vcpuThreads(threads)
}
