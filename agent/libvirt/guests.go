package libvirt

import (
	"context"
	"errors"
	"slices"
	"strings"

	golibvirt "github.com/digitalocean/go-libvirt"

	"github.com/evenkeel/evenkeel/agent"
)

// listed is one active domain as the daemon describes it.
type listed struct {
	dom           golibvirt.Domain
	state, reason int32
	persistent    bool
	def           definition
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
	for _, d := range doms {
		g := h.guest(d)
		if g.State != agent.RunStateAbsent && !seen[g.UUID] {
			seen[g.UUID] = true
			guests = append(guests, g)
		}
	}
	h.parsed.keep(seen)
	h.notices.keep(seen)
	if err := h.addProcesses(guests, doms); err != nil {
		return nil, err
	}
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
		d.def, err = h.describe(lv, r.Dom)
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

// describe fetches a VM's definition. When libvirt cannot send it (more than
// 4 MiB) or it can't be read, the VM counts with its memory all the same.
func (h *Host) describe(lv *golibvirt.Libvirt, dom golibvirt.Domain) (definition, error) {
	uuid := formatUUID(dom.UUID)
	text, err := lv.DomainGetXMLDesc(dom, 0)
	if golibvirt.IsNotFound(err) || !answered(err) {
		return definition{}, err
	}
	if err == nil {
		var def definition
		if def, err = h.parsed.parse(uuid, text); err == nil {
			return def, nil
		}
	}
	h.notices.warn(h.log, uuid, "VM definition is not usable", err)
	_, kib, _, _, _, err := lv.DomainGetInfo(dom)
	if err != nil {
		return definition{}, err
	}
	bytes, err := memoryBytes(kib, "KiB")
	if err != nil {
		h.notices.warn(h.log, uuid, "VM memory is not known", err)
	}
	return definition{maxMemoryBytes: bytes}, nil
}

// guest translates one domain; its process is added later.
func (h *Host) guest(d listed) agent.Guest {
	g := agent.Guest{
		UUID: formatUUID(d.dom.UUID), Name: cleanName(d.dom.Name), Persistent: d.persistent,
		MaxMemoryBytes: d.def.maxMemoryBytes, Order: d.def.order,
	}
	g.State, g.Migrating = runState(d.state, d.reason)
	direction, err := h.qemus.migrationInStatus(d.dom.Name)
	if err != nil {
		h.notices.warn(h.log, g.UUID, "libvirt's status file is not usable", err)
	}
	g.Migrating = g.Migrating || direction != ""
	g.Incoming = direction == migrationIn && g.State == agent.RunStatePaused
	g.Diskless, g.DisksLocked = d.def.diskless, d.def.locked
	return g
}

// addProcesses fills in each guest's QEMU process and vCPU threads. The pid
// files answer for nearly all; the rest shares one look through /proc.
func (h *Host) addProcesses(guests []agent.Guest, doms []listed) error {
	names := make(map[string]string, len(doms))
	for _, d := range doms {
		names[formatUUID(d.dom.UUID)] = d.dom.Name
	}
	missing := make(map[string]bool)
	for i, g := range guests {
		guests[i].PID = h.qemus.fromPIDFile(g.UUID, names[g.UUID])
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
		guests[i].PID, guests[i].VCPUThreads = h.vcpus(g)
	}
	return nil
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
