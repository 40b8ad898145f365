package sim

import (
	"fmt"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// check refuses a scenario that cannot be played.
func (s *Scenario) check() error {
	if err := s.Settings.Check(); err != nil {
		return err
	}
	if s.For <= 0 || s.For > maxFor {
		return fmt.Errorf("it lasts %v, must be more than 0 and at most %v", s.For, maxFor)
	}
	if len(s.Hosts) == 0 || len(s.Hosts) > maxHosts || len(s.VMs) > maxVMs {
		return fmt.Errorf("%d hosts and %d VMs, must be 1 to %d hosts and at most %d VMs", len(s.Hosts), len(s.VMs), maxHosts, maxVMs)
	}
	if s.Tick != 0 && (s.Tick < tick || s.Tick > time.Second || time.Second%s.Tick != 0) {
		return fmt.Errorf("tick %v, must lie between %v and 1s and go into a second", s.Tick, tick)
	}
	if s.Failures < 0 || s.Failures > cluster.Whole {
		return fmt.Errorf("failures %v, must lie between 0 and 100 %%", s.Failures)
	}
	if len(s.Fleets) > 0 {
		return fmt.Errorf("its fleets are not made yet: load it first")
	}
	if err := s.checkOverlays(); err != nil {
		return err
	}
	hosts, err := s.checkHosts()
	if err != nil {
		return err
	}
	vms, err := s.checkVMs(hosts)
	if err != nil {
		return err
	}
	return s.checkEvents(hosts, vms)
}

const aName = "a name has 1 to 64 letters, digits, dots, dashes and underscores"

func validName(name string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"
	return name != "" && len(name) <= 64 && strings.Trim(name, letters) == ""
}

func (s *Scenario) checkHosts() (map[string]bool, error) {
	hosts := map[string]bool{}
	for _, h := range s.Hosts {
		switch {
		case !validName(h.Name):
			return nil, fmt.Errorf("host %.80q: %s", h.Name, aName)
		case hosts[h.Name]:
			return nil, fmt.Errorf("host %s is there twice", h.Name)
		case h.CPUs <= 0 || h.Overhead >= h.CPUs || h.Memory <= 0 || h.Link <= 0:
			return nil, fmt.Errorf("host %s needs CPUs beyond its overhead, memory and a link", h.Name)
		}
		hosts[h.Name] = true
	}
	return hosts, nil
}

func (s *Scenario) checkVMs(hosts map[string]bool) (map[string]VM, error) {
	vms := map[string]VM{}
	for _, v := range s.VMs {
		_, twice := vms[v.Name]
		switch {
		case !validName(v.Name):
			return nil, fmt.Errorf("VM %.80q: %s", v.Name, aName)
		case twice:
			return nil, fmt.Errorf("VM %s is there twice", v.Name)
		case !hosts[v.On]:
			return nil, fmt.Errorf("VM %s: on=%s is no host; give one of the scenario's", v.Name, v.On)
		case v.VCPUs < 1 || v.VCPUs > 1024 || v.Memory <= 0:
			return nil, fmt.Errorf("VM %s needs 1 to 1024 vCPUs and memory", v.Name)
		case v.Shares < 0 || v.Shares > cluster.MaxShares:
			return nil, fmt.Errorf("VM %s: shares=%d, at most %d", v.Name, v.Shares, cluster.MaxShares)
		}
		if err := v.check(v); err != nil {
			return nil, err
		}
		if err := v.Trace.check(v); err != nil {
			return nil, err
		}
		vms[v.Name] = v
	}
	return vms, nil
}

// maxOverlays bounds the overlays of a scenario.
const maxOverlays = 32

func (s *Scenario) checkOverlays() error {
	if len(s.Overlays) > maxOverlays {
		return fmt.Errorf("%d overlays, at most %d are played", len(s.Overlays), maxOverlays)
	}
	for _, o := range s.Overlays {
		switch {
		case !validName(o.Name):
			return fmt.Errorf("overlay %.80q: %s", o.Name, aName)
		case o.At < 0 || o.Every <= 0 || o.Every > maxFor || o.At > maxFor:
			return fmt.Errorf("overlay %s: at=%v every=%v, must be at least 0 and above 0", o.Name, o.At, o.Every)
		case o.For <= 0 || o.Spread < 0 || o.For+o.Spread > o.Every || o.For > maxFor:
			return fmt.Errorf("overlay %s: for=%v and spread=%v must fit into every=%v", o.Name, o.For, o.Spread, o.Every)
		case o.VMs < 0 || o.VMs > cluster.Whole || o.CPU <= 0 || o.CPU > cluster.Whole:
			return fmt.Errorf("overlay %s: vms=%v cpu=%v, must be shares up to 100 %%", o.Name, o.VMs, o.CPU)
		}
	}
	return nil
}

func (t *Trace) check(v VM) error {
	if t == nil {
		return nil
	}
	if t.Every < time.Second || len(t.CPU) == 0 || len(t.CPU) > maxSamples {
		return fmt.Errorf("VM %s: a trace has 1 to %d samples of a second or more", v.Name, maxSamples)
	}
	for i, c := range t.CPU {
		if c < 0 || int(c) > v.VCPUs*1000 {
			return fmt.Errorf("VM %s: sample %d of its trace is %d thousandths of a CPU, and it has %d vCPUs", v.Name, i+1, c, v.VCPUs)
		}
	}
	return nil
}

func (w Work) check(v VM) error {
	if int(w.CPU) > v.VCPUs*1000 {
		return fmt.Errorf("VM %s: cpu=%g is more than its %d vCPUs", v.Name, w.CPU.CPUs(), v.VCPUs)
	}
	if w.Burst < 0 || w.Burst > time.Hour {
		return fmt.Errorf("VM %s: burst=%v, must lie between 0 and 1h", v.Name, w.Burst)
	}
	return nil
}

func (s *Scenario) checkEvents(hosts map[string]bool, vms map[string]VM) error {
	for _, e := range s.Events {
		v, known := vms[e.VM]
		switch {
		case e.At < 0 || e.At > s.For:
			return fmt.Errorf("something happens at %v, the scenario lasts %v", e.At, s.For)
		case e.VM != "" && !known:
			return fmt.Errorf("at %v: %s is no VM of the scenario", e.At, e.VM)
		case e.Slow != "" && (!hosts[e.Slow] || e.Link <= 0):
			return fmt.Errorf("at %v: slow %s needs a host of the scenario and a link above 0", e.At, e.Slow)
		case e.Silent != "" && (!hosts[e.Silent] || e.For <= 0):
			return fmt.Errorf("at %v: silent %s for=%v needs a host of the scenario and a time above 0", e.At, e.Silent, e.For)
		}
		if err := e.Work.check(v); known && err != nil {
			return fmt.Errorf("at %v: %w", e.At, err)
		}
	}
	return nil
}
