package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/cmd/internal/certs"
	"github.com/evenkeel/evenkeel/cmd/internal/config"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

func (v *visit) configuration() Finding {
	cfg, err := config.Load(v.ConfigPath)
	var problems config.Problems
	switch {
	case errors.As(err, &problems):
		// What stands in the file explains what is missing from it, seldom the
		// other way round.
		p := problems[0]
		if i := slices.IndexFunc(problems, func(p config.Problem) bool { return p.Line > 0 }); i >= 0 {
			p = problems[i]
		}
		text, _, _ := strings.Cut(p.String(), "\n")
		more := ""
		if len(problems) > 1 {
			more = fmt.Sprintf(" (and %d more)", len(problems)-1)
		}
		return fail("evenkeel config validate "+v.ConfigPath, "%s%s", text, more)
	case err != nil:
		return fail("write one, or name it by --config", "%v", err)
	}
	v.cfg, v.configured = cfg, true
	return pass("%s: %s %s", v.ConfigPath, cfg.Role, cfg.Host.Name)
}

const unconfigured = "the configuration cannot be read"

// soon is when a certificate's end is near enough to be told.
const soon = 30 * 24 * time.Hour

func (v *visit) certificates() Finding {
	if !v.configured {
		return skip(unconfigured)
	}
	m, err := certs.LoadTLS(v.cfg.TLS.CA, v.cfg.TLS.Cert, v.cfg.TLS.Key)
	if err != nil {
		var bad *certs.Error
		if errors.As(err, &bad) {
			return fail(bad.Remedy, "%s: %v", bad.Where, bad.Err)
		}
		return fail("make it with `evenkeel certs host`", "%v", err)
	}
	id := m.Identity()
	role, member := id.Kind.Role()
	left := m.NotAfter().Sub(v.Now())
	switch {
	case id.ClusterID != v.cfg.Cluster.ID:
		return fail("use a certificate of this cluster, or correct cluster.id", "%s is of cluster %s, cluster.id is %s", v.cfg.TLS.Cert, id.ClusterID, v.cfg.Cluster.ID)
	case !member || role != v.cfg.Role:
		return fail("make one with `evenkeel certs host --kind agent|witness`", "%s is of kind %s, the role is %s", v.cfg.TLS.Cert, id.Kind, v.cfg.Role)
	case left < soon || v.Now().Sub(m.RenewAt()) > soon:
		// The daemon renews it long before: it has failed to, or has not run.
		return warn("evenkeel certs renew", "expires in %v and was not renewed", left.Round(time.Hour))
	}
	return pass("%s %s, until %s", id.Kind, id.Name, m.NotAfter().UTC().Format("2006-01-02"))
}

func (v *visit) migration() Finding {
	switch {
	case !v.configured:
		return skip(unconfigured)
	case v.witness():
		return skip(noVMs)
	case v.cfg.Migration.Transport == config.TransportTCP && !v.cfg.Lab:
		return warn("set migration.transport to relay, unless the network is closed", "VMs' memory and libvirt's orders travel unencrypted and unauthenticated (tcp)")
	}
	return pass("others reach this libvirt at %s", v.cfg.PeerURI())
}

func (v *visit) ports() Finding {
	if !v.configured {
		return skip(unconfigured)
	}
	var taken []string
	for _, p := range []struct{ key, addr string }{{"listen.api", v.cfg.Listen.API}, {"listen.cluster", v.cfg.Listen.Cluster}} {
		lis, err := new(net.ListenConfig).Listen(context.Background(), "tcp", p.addr)
		switch {
		case err == nil:
			lis.Close()
		case errors.Is(err, syscall.EADDRINUSE) && v.daemon == nil: // ours, most likely: it answers on its socket
		case errors.Is(err, syscall.EADDRINUSE):
			return fail("see who has it: ss -ltnp; or set "+p.key, "%s %s is taken, and not by an evenkeeld that answers at %s", p.key, p.addr, v.cfg.Socket)
		default:
			return fail("set "+p.key+" to an address of this host", "%s %s: %v", p.key, p.addr, err)
		}
		if err != nil {
			taken = append(taken, p.addr)
		}
	}
	if len(taken) > 0 {
		return pass("%s: the running evenkeeld's", strings.Join(taken, " and "))
	}
	return pass("%s and %s are free", v.cfg.Listen.API, v.cfg.Listen.Cluster)
}

// socketGroup are those who may use the socket besides root.
const socketGroup = "evenkeel"

func (v *visit) operators() Finding {
	if _, err := user.LookupGroup(socketGroup); err != nil {
		return warn("groupadd --system "+socketGroup, "there is no group %s: only root may use the socket", socketGroup)
	}
	return pass("root and the group %s may use the socket", socketGroup)
}

func (v *visit) clock() Finding {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return skip("the kernel does not say: %v", err)
	}
	if state == unix.TIME_ERROR || t.Status&unix.STA_UNSYNC != 0 {
		return warn("run chrony or systemd-timesyncd; with clocks more than "+cluster.MaxSkew.String()+" apart nothing is moved", "the kernel's clock is not synchronised")
	}
	return pass("synchronised, estimated error %v", (time.Duration(t.Esterror) * time.Microsecond).Round(time.Microsecond))
}

// skew compares clocks with the other members, if a daemon runs here.
func (v *visit) skew() Finding {
	if v.daemon != nil {
		return skip("no evenkeeld answers on this host")
	}
	var silent, off []string
	worst, others := 0.0, 0
	for _, p := range v.members {
		if !p.Answers {
			silent = append(silent, p.Name+": "+p.Message)
			continue
		}
		others++
		if s := max(p.ClockAheadSeconds, -p.ClockAheadSeconds); s > 1 {
			off = append(off, fmt.Sprintf("%s by %+.1f s", p.Name, p.ClockAheadSeconds))
			worst = max(worst, s)
		}
	}
	const fix = "run chrony or systemd-timesyncd on every member"
	switch {
	case worst > cluster.MaxSkew.Seconds():
		return fail(fix, "clocks differ: %s", few(off))
	case worst > 0:
		return warn(fix, "clocks differ: %s", few(off))
	case len(silent) > 0:
		return warn("look there: systemctl status evenkeeld; and let port 7470 through", "%d members answer, but %s", others, few(silent))
	}
	return pass("%d members answer, their clocks agree within 1 s", others)
}

// hint is what an error of the file system mostly means.
func hint(err error) string {
	switch {
	case errors.Is(err, os.ErrPermission):
		return "run doctor as root, as evenkeeld runs"
	case errors.Is(err, syscall.ENOSPC):
		return "make room on the disk"
	case errors.Is(err, syscall.EROFS):
		return "the file system is read-only: look at the kernel's log for why"
	}
	return "look at the folder and its file system"
}
