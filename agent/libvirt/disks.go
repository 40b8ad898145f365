package libvirt

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	golibvirt "github.com/digitalocean/go-libvirt"

	"github.com/evenkeel/evenkeel/agent"
)

const (
	// maxDisks bounds the disks of one VM; libvirt's own controllers end at some
	// hundreds.
	maxDisks = 1024
	// definitionsFor is how long a VM's definition is believed while the disks
	// that the statistics list stay the same.
	definitionsFor = time.Minute
)

// Disks reads the statistics of all VMs' disks, and remembers where the disks
// lie. Its methods may be called concurrently.
type Disks struct {
	host *Host
	now  func() time.Time

	mu   sync.Mutex
	last map[string]placed // by VM
}

// placed is where a VM's disks were found to lie.
type placed struct {
	key     string // the disks as the statistics list them
	at      time.Time
	storage map[string]agent.Storage // by target
}

// NewDisks makes a reader of the disks' statistics.
func NewDisks(h *Host) *Disks {
	return &Disks{host: h, now: time.Now, last: map[string]placed{}}
}

// Stats returns the disks of all active VMs, by UUID, in one question to the
// daemon. It does not wait for a VM that is busy with a job; its disks are then
// not Known. A QEMU that hangs while it is asked holds this one call up until
// its context or the time limit ends it, and is passed over from then on: the
// question that it owes an answer to is the job.
func (d *Disks) Stats(ctx context.Context) (map[string][]agent.DiskStats, error) {
	var records []golibvirt.DomainStatsRecord
	err := d.host.call(ctx, "read the disks' statistics", func(lv *golibvirt.Libvirt) error {
		var err error
		flags := uint32(golibvirt.ConnectGetAllDomainsStatsActive | golibvirt.ConnectGetAllDomainsStatsNowait)
		records, err = lv.ConnectGetAllDomainStats(nil, uint32(golibvirt.DomainStatsBlock), flags)
		return err
	})
	if err != nil {
		return nil, err
	}
	all := make(map[string][]agent.DiskStats, len(records))
	for _, r := range records {
		uuid := formatUUID(r.Dom.UUID)
		disks, err := diskStats(r.Params)
		if err != nil {
			d.host.notices.warn(d.host.log, uuid, "disks' statistics are not usable", err)
			continue
		}
		all[uuid] = disks
		if err := d.place(ctx, r.Dom, disks); err != nil {
			return nil, err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	maps.DeleteFunc(d.last, func(uuid string, _ placed) bool { return all[uuid] == nil })
	return all, nil
}

// place fills in where the disks lie, from the VM's definition.
func (d *Disks) place(ctx context.Context, dom golibvirt.Domain, disks []agent.DiskStats) error {
	uuid, key := formatUUID(dom.UUID), keyOf(disks)
	d.mu.Lock()
	p, ok := d.last[uuid]
	d.mu.Unlock()
	if !ok || p.key != key || d.now().Sub(p.at) >= definitionsFor {
		sources, err := d.sources(ctx, dom)
		if err != nil {
			return err
		}
		p = placed{key, d.now(), d.classify(dom, disks, sources)}
		d.mu.Lock()
		d.last[uuid] = p
		d.mu.Unlock()
	}
	for i := range disks {
		s, ok := p.storage[disks[i].Target]
		if !ok {
			s = agent.Storage{Backend: agent.BackendUnknown, Why: "the VM's definition has no such disk"}
		}
		disks[i].Storage = s
	}
	return nil
}

// keyOf changes when a disk is plugged, unplugged, or gets another image.
func keyOf(disks []agent.DiskStats) string {
	var b strings.Builder
	for _, d := range disks {
		fmt.Fprintf(&b, "%q %q %d\n", d.Target, d.Path, d.BackingIndex)
	}
	return b.String()
}

// sources fetches a VM's definition, which no hung QEMU can hold up; none if the
// VM ended since, or its definition can't be read.
func (d *Disks) sources(ctx context.Context, dom golibvirt.Domain) (map[string]agent.DiskSource, error) {
	var text string
	err := d.host.call(ctx, "read a VM's definition", func(lv *golibvirt.Libvirt) error {
		var err error
		text, err = lv.DomainGetXMLDesc(dom, 0)
		return err
	})
	if err == nil {
		var sources map[string]agent.DiskSource
		if sources, err = diskSources(text); err == nil {
			return sources, nil
		}
	} else if !hasAnswer(err) {
		return nil, err
	}
	d.host.notices.warn(d.host.log, formatUUID(dom.UUID), "where the VM's disks lie is not known", err)
	return nil, nil
}

// classify looks at the mounts that QEMU sees: libvirt may give it a mount
// namespace of its own.
func (d *Disks) classify(dom golibvirt.Domain, disks []agent.DiskStats, sources map[string]agent.DiskSource) map[string]agent.Storage {
	uuid := formatUUID(dom.UUID)
	mounts, err := d.mounts(uuid, dom.Name)
	if err != nil {
		d.host.notices.warn(d.host.log, uuid, "mounts are not readable", err)
	}
	devices := agent.Devices{Root: d.host.qemus.proc.FS()}
	storage := make(map[string]agent.Storage, len(sources))
	for _, disk := range disks {
		src, ok := sources[disk.Target]
		if !ok {
			continue
		}
		if src.Type == "volume" {
			src = ofVolume(src, disk.Path)
		}
		if src.Type == "file" || src.Type == "block" || src.Type == "dir" {
			src.Path = mounts.Resolve(src.Path, os.Readlink)
		}
		storage[disk.Target] = agent.Classify(src, mounts, devices)
	}
	return storage
}

// ofVolume is the file or the device that a pool's volume is: the definition
// does not say, the statistics do.
func ofVolume(src agent.DiskSource, path string) agent.DiskSource {
	switch {
	case strings.HasPrefix(path, "/dev/"):
		src.Type, src.Path = "block", path
	case strings.HasPrefix(path, "/"):
		src.Type, src.Path = "file", path
	}
	return src
}

func (d *Disks) mounts(uuid, name string) (agent.Mounts, error) {
	who := "self"
	if pid := d.host.qemus.fromPIDFile(uuid, name); pid != 0 {
		who = strconv.Itoa(pid)
	}
	text, err := readSmall(d.host.qemus.proc.FS(), path.Join("proc", who, "mountinfo"), 16<<20)
	if err != nil {
		return nil, err
	}
	return agent.ParseMounts(text)
}

// diskStats reads the fields of the block group: block.count, and for each
// block.N.name, .path, .backingIndex, .rd.reqs, ...
func diskStats(params []golibvirt.TypedParam) ([]agent.DiskStats, error) {
	count := 0
	for _, p := range params {
		if p.Field == golibvirt.DomainStatsBlockCount {
			n, ok := number(p.Value.I)
			if !ok || n > maxDisks {
				return nil, fmt.Errorf("%s is %v, want at most %d", p.Field, p.Value.I, maxDisks)
			}
			count = int(n)
		}
	}
	disks := make([]agent.DiskStats, count)
	for _, p := range params {
		rest, ok := strings.CutPrefix(p.Field, golibvirt.DomainStatsBlockPrefix)
		digits, field, dot := strings.Cut(rest, ".")
		n, err := strconv.ParseUint(digits, 10, 16)
		if !ok || !dot || err != nil {
			continue
		}
		if n >= uint64(count) {
			return nil, fmt.Errorf("%s: there are %d disks", clip(p.Field, 64), count)
		}
		if err := setDisk(&disks[n], field, p.Value.I); err != nil {
			return nil, fmt.Errorf("%s: %w", clip(p.Field, 64), err)
		}
	}
	// An empty drive has neither path nor counters.
	return slices.DeleteFunc(disks, func(d agent.DiskStats) bool { return d.Target == "" }), nil
}

// setDisk sets one field; those that newer daemons add are passed over.
func setDisk(d *agent.DiskStats, field string, value any) error {
	switch field {
	case "name", "path":
		s, ok := value.(string)
		if !ok {
			return fmt.Errorf("%T, want a text", value)
		}
		if field == "name" {
			d.Target = clip(s, 64)
		} else {
			d.Path = clip(s, 4096)
		}
		return nil
	}
	at := map[string]*uint64{
		"rd.reqs": &d.Read.Requests, "rd.bytes": &d.Read.Bytes, "rd.times": &d.Read.TimeNS,
		"wr.reqs": &d.Write.Requests, "wr.bytes": &d.Write.Bytes, "wr.times": &d.Write.TimeNS,
		"fl.reqs": &d.Flush.Requests, "fl.times": &d.Flush.TimeNS, "errors": &d.Errors,
	}[field]
	if at == nil && field != "backingIndex" {
		return nil
	}
	n, ok := number(value)
	if !ok {
		return fmt.Errorf("%v, want a number that is not negative", value)
	}
	if field == "backingIndex" {
		d.BackingIndex = int(min(n, 1<<31-1))
		return nil
	}
	*at = n
	d.Known = d.Known || field == "rd.reqs"
	return nil
}

// number is a typed parameter's value, whichever type this libvirt chose.
func number(value any) (uint64, bool) {
	switch n := value.(type) {
	case uint64:
		return n, true
	case uint32:
		return uint64(n), true
	case int64:
		return uint64(n), n >= 0
	case int32:
		return uint64(n), n >= 0
	}
	return 0, false
}
