package agent

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// adopt resumes a VM that stands paused here, of which the other end's
// committed word proves that nobody else has it: at the source, one that a
// broken migration left behind ([cluster.Move.Orphaned]), which is the one
// thing that evenkeel repairs by itself; at the target, one that was made to
// arrive paused ([cluster.Move.Arrived]). What only this host can know is
// looked at now: that no job runs, and at the source that it was a migration
// that paused the VM, not a person. Then it testifies.
func (x *Executor) adopt(ctx context.Context, d *duty, now cluster.Time) error {
	m, began := d.move(), x.cfg.Uptime()
	asked, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	s, err := x.cfg.Hypervisor.Look(asked, m.VM)
	if err != nil {
		return fmt.Errorf("look for %s: %w", m.VM, err)
	}
	ours := s.PausedByMigration || m.Target == x.cfg.Member // libvirt calls an arrival that it was told to leave paused a person's
	if s.State == RunStatePaused && ours && s.Process && !s.JobRunning {
		x.log.Log(ctx, x.adoption(m), "resume a VM that stands paused here; the other end has nothing of it", "move", m.ID, "vm", m.VMName)
		if err := x.cfg.Hypervisor.Resume(asked, m.VM); err != nil {
			_ = pause(ctx, 5*time.Second) // a lock that somebody else holds, say: no hurry to find it again
			return fmt.Errorf("resume %s: %w", m.VM, err)
		}
	} else if s.State == RunStatePaused {
		return pause(ctx, 5*time.Second) // a person's pause, or a job has begun: not ours to end
	}
	return x.testify(ctx, d, now, x.cfg.Uptime()-began)
}

// adoption is how loud an adoption is told: an arrival is what was ordered, an
// orphan is not.
func (x *Executor) adoption(m cluster.Move) slog.Level {
	if m.Target == x.cfg.Member {
		return slog.LevelInfo
	}
	return slog.LevelWarn
}

// repairs says whether this host, the source, has an orphan to resume.
func (x *Executor) repairs(m cluster.Move, v cluster.View) bool {
	return m.Source == x.cfg.Member && m.Orphaned(v.Now)
}
