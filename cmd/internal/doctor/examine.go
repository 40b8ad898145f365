package doctor

import (
	"context"
	"log/slog"
	"time"

	"github.com/evenkeel/evenkeel/agent"
	"github.com/evenkeel/evenkeel/agent/libvirt"
	"github.com/evenkeel/evenkeel/agent/procfs"
	"github.com/evenkeel/evenkeel/bpf"
	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/config"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Patient is the host to examine.
type Patient struct {
	ConfigPath string
	Proc       procfs.Reader
	// Probe loads the measuring programs into the kernel, takes them out again, and
	// says what they can measure there.
	Probe func() ([]bpf.Feature, error)
	// Members asks the running daemon for the cluster's members; an error means
	// that none runs here.
	Members func(ctx context.Context, socket string) ([]api.Peer, error)
	// VMs asks the running daemon for the cluster's VMs.
	VMs func(ctx context.Context, socket string) ([]api.VM, error)
	// Settings asks the running daemon for the cluster's settings.
	Settings func(ctx context.Context, socket string) (*api.Settings, error)
	Now      func() time.Time
}

// libvirtTime bounds what libvirt is asked.
const libvirtTime = 5 * time.Second

// visit is an examination under way: what one check learns for others.
type visit struct {
	Patient
	cfg        config.Config
	configured bool // cfg was read
	members    []api.Peer
	daemon     error // why no daemon answers
	guests     []agent.Guest
	starts     []string // VMs that are off here, and started with this host
	listed     error    // why there are no guests to look at
}

// Examine makes all checks, in an order in which the first failure is likely
// to explain later ones.
func Examine(ctx context.Context, p Patient) []Finding {
	v := &visit{Patient: p}
	out := []Finding{v.named("configuration", v.configuration)}
	if v.configured {
		v.members, v.daemon = p.Members(ctx, v.cfg.Socket)
	} else {
		v.members, v.daemon = p.Members(ctx, api.DefaultSocket)
	}
	add := func(name string, check func() Finding) { out = append(out, v.named(name, check)) }
	add("certificates", v.certificates)
	add("kernel", v.kernel)
	add("capabilities", v.capabilities)
	add("probe", v.probe)
	add("schedstat", v.schedstat)
	add("libvirt", func() Finding { return v.libvirt(ctx) })
	add("vcpu threads", v.threads)
	add("autostart", func() Finding { return v.autostart(ctx) })
	add("migration", v.migration)
	add("policy", func() Finding { return v.policy(ctx) })
	add("state folder", v.stateDir)
	add("ports", v.ports)
	add("operators", v.operators)
	add("clock", v.clock)
	add("members", v.skew)
	return out
}

func (v *visit) named(name string, check func() Finding) Finding {
	f := check()
	f.Check = name
	return f
}

// witness says whether this host has no VMs by design.
func (v *visit) witness() bool { return v.configured && v.cfg.Role == cluster.RoleWitness }

const noVMs = "a witness has no VMs"

func (v *visit) libvirt(ctx context.Context) Finding {
	v.listed = errNotLooked
	if v.witness() {
		return skip(noVMs)
	}
	h, err := libvirt.Open(libvirt.Config{Socket: v.cfg.Libvirt.Socket, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return fail("correct libvirt.socket", "%v", err)
	}
	defer h.Close()
	ctx, cancel := context.WithTimeout(ctx, libvirtTime)
	defer cancel()
	if v.guests, v.listed = h.Guests(ctx); v.listed == nil {
		v.starts, v.listed = libvirt.NewSurvey(h).Starts(ctx)
	}
	if v.listed != nil {
		return fail("systemctl start virtqemud.socket (or libvirtd.socket), or set libvirt.socket to where it listens", "%v", v.listed)
	}
	return pass("answers, %d VMs run here", len(v.guests))
}
