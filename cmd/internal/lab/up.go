package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/evenkeel/evenkeel/cmd/internal/lab/initramfs"
)

// Up builds a lab and returns when its hosts answer, its guests have booted
// and its mode is set. If it fails, it takes away what it made.
func Up(ctx context.Context, s Scenario, opts Options) (*Lab, error) {
	if err := opts.fillDefaults(); err != nil {
		return nil, err
	}
	s.fillDefaults()
	if err := s.Check(); err != nil {
		return nil, fmt.Errorf("scenario: %w", err)
	}
	if i := slices.IndexFunc(s.Guests, func(g Guest) bool { return g.Disk != nil }); i >= 0 && opts.Kernel != "" {
		return nil, noDrivers(s.Guests[i].Name)
	}
	if err := checkMachine(opts); err != nil {
		return nil, err
	}
	l, err := claim(s, opts)
	if err != nil {
		return nil, err
	}
	bounded, cancel := context.WithTimeoutCause(ctx, opts.Timeout, fmt.Errorf("the lab was not up within %v", opts.Timeout))
	defer cancel()
	err = l.change(func() error { return l.build(bounded, s) })
	if err == nil {
		return l, nil
	}
	err = fmt.Errorf("lab %s: %w", opts.Name, err)
	if opts.Keep {
		return nil, err
	}
	return nil, errors.Join(err, Down(context.WithoutCancel(ctx), opts))
}

// claim takes the state directory and writes the manifest, before anything
// else is made.
func claim(s Scenario, opts Options) (*Lab, error) {
	set, err := machineCpuset()
	if err != nil {
		return nil, err
	}
	l := &Lab{opts: opts, dir: opts.StateDir, set: set}
	if l.manifest, err = planned(s, opts, set); err != nil {
		return nil, err
	}
	if _, err := os.Stat(l.manifest.Cgroup); err == nil {
		return nil, fmt.Errorf("%s: %w --name %s", l.manifest.Cgroup, ErrLabExists, opts.Name)
	}
	if err := os.MkdirAll(l.dir, 0o755); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	unlock, err := lockDir(l.dir, lockPatience)
	if err != nil {
		return nil, err
	}
	defer unlock()
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == manifestName }) {
		return nil, fmt.Errorf("%s: %w", l.dir, ErrLabExists)
	}
	if len(entries) > 0 {
		return nil, fmt.Errorf("state directory %s holds files that are not a lab's; choose an empty one with --state-dir", l.dir)
	}
	return l, l.manifest.save(l.dir)
}

// planned is the manifest of a lab of which nothing is made yet.
func planned(s Scenario, opts Options, set cpuset) (Manifest, error) {
	cpus, err := set.cpus()
	if err != nil {
		return Manifest{}, fmt.Errorf("the machine's CPUs: %w", err)
	}
	boot, err := bootID()
	if err != nil {
		return Manifest{}, err
	}
	m := Manifest{
		Version: manifestVersion, Name: opts.Name, Building: true, CreatedAt: time.Now().UTC(), BootID: boot,
		ClusterID: uuid.NewString(), Agents: !opts.NoAgents, Cgroup: set.lab(opts.Name).path, BinDir: opts.BinDir, Mode: s.Mode, Transport: s.Transport,
	}
	for i, h := range s.Hypervisors {
		state := HostState{Name: h.Name, Role: RoleHypervisor, Address: hostAddress(i), CPUs: h.CPUs, Memory: h.Memory, UUID: uuid.NewString()}
		if state.CPUs == "" {
			state.CPUs = formatCPUList(shareOf(cpus, i, len(s.Hypervisors)))
		}
		m.Hosts = append(m.Hosts, state)
	}
	if s.Witness {
		m.Hosts = append(m.Hosts, HostState{Name: witnessName, Role: RoleWitness, Address: hostAddress(len(s.Hypervisors)), CPUs: formatCPUList(cpus)})
	}
	return m, nil
}

// build makes everything, in the order in which things need each other.
func (l *Lab) build(ctx context.Context, s Scenario) error {
	steps := []struct {
		name string
		do   func(context.Context) error
	}{
		{"boot files", l.makeBootFiles},
		{"directories", l.makeDirs},
		{"cgroups", l.makeCgroups},
		{"switch", l.makeSwitch},
		{"hosts", l.makeHosts},
		{"libvirtd", l.startLibvirtds},
		{"agents", l.startAgents},
		{"guests", func(ctx context.Context) error { return l.startGuests(ctx, s.Guests) }},
		{"mode", func(ctx context.Context) error { return l.setMode(ctx, s) }},
	}
	for _, step := range steps {
		l.opts.Progress(step.name)
		begin := time.Now()
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		l.opts.Log.Info("step done", "step", step.name, "took", time.Since(begin))
	}
	return l.record(func(m *Manifest) { m.Building = false })
}

func (l *Lab) makeBootFiles(ctx context.Context) error {
	if err := os.MkdirAll(filepath.Dir(l.kernelPath()), 0o755); err != nil {
		return err
	}
	kernel, modules := l.opts.Kernel, []initramfs.Module(nil)
	if kernel == "" {
		dir, err := l.cachedKernel(ctx)
		if err != nil {
			return err
		}
		kernel = filepath.Join(dir, kernelImage)
		if modules, err = modulesOf(dir); err != nil {
			return err
		}
	}
	if err := l.record(func(m *Manifest) { m.NoDisks = len(modules) == 0 }); err != nil {
		return err
	}
	if err := copyFile(kernel, l.kernelPath()); err != nil {
		return fmt.Errorf("guests' kernel: %w", err)
	}
	program, err := os.ReadFile(filepath.Join(l.opts.BinDir, "evenkeel-guest"))
	if err != nil {
		return fmt.Errorf("guests' init: %w", err)
	}
	var image bytes.Buffer
	if err := initramfs.Write(&image, program, modules...); err != nil {
		return err
	}
	return os.WriteFile(l.initrdPath(), image.Bytes(), 0o644)
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

func (l *Lab) makeDirs(context.Context) error {
	for _, h := range l.Hosts() {
		for _, m := range mounts {
			if err := os.MkdirAll(filepath.Join(l.hostDir(h.Name), m.source), 0o755); err != nil {
				return err
			}
		}
		if h.Role == RoleHypervisor {
			if err := l.writeLibvirtConfig(h); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *Lab) makeCgroups(context.Context) error {
	cpus, err := l.set.cpus()
	if err != nil {
		return err
	}
	if l.set.unified {
		changed, err := delegate(l.set.root)
		if err != nil {
			return err
		}
		if err := l.record(func(m *Manifest) { m.Delegated = changed }); err != nil {
			return err
		}
	}
	all, lab := formatCPUList(cpus), l.group()
	if err := lab.create(all); err != nil {
		return err
	}
	if l.set.unified {
		if _, err := delegate(lab.path); err != nil {
			return err
		}
	}
	for _, name := range []string{switchName, execName} {
		if err := lab.child(name).create(all); err != nil {
			return err
		}
	}
	for _, h := range l.Hosts() {
		if err := lab.child(h.Name).create(h.CPUs); err != nil {
			return fmt.Errorf("%s: %w", h.Name, err)
		}
	}
	return nil
}

func (l *Lab) makeSwitch(ctx context.Context) error {
	p, err := startSwitch(ctx, l.group().child(switchName), filepath.Join(l.dir, "switch.log"))
	if err != nil {
		return err
	}
	if err := l.record(func(m *Manifest) { m.Switch = p }); err != nil {
		return err
	}
	return buildSwitch(p)
}

func (l *Lab) makeHosts(ctx context.Context) error {
	bridge := l.manifestCopy().Switch
	for _, h := range l.Hosts() {
		p, err := startHolder(ctx, l.group().child(h.Name), h.Name, l.hostDir(h.Name), l.dir, l.hostsFile())
		if err != nil {
			return err
		}
		if err := l.recordHost(h.Name, func(h *HostState) { h.Holder = p }); err != nil {
			return err
		}
		if err := plugIn(bridge, p, h.Name, h.Address); err != nil {
			return err
		}
	}
	return nil
}

// hostsFile lets the hosts find each other by name.
func (l *Lab) hostsFile() string {
	var b strings.Builder
	b.WriteString("127.0.0.1 localhost\n::1 localhost\n")
	for _, h := range l.Hosts() {
		fmt.Fprintf(&b, "%s %s\n", h.Address, h.Name)
	}
	return b.String()
}

func (l *Lab) startLibvirtds(ctx context.Context) error {
	return l.onEach(ctx, func(ctx context.Context, h HostState) error {
		if h.Role != RoleHypervisor {
			return nil
		}
		return l.startLibvirtd(ctx, h.Name)
	})
}

func (l *Lab) startAgents(ctx context.Context) error {
	if !l.manifestCopy().Agents {
		return nil
	}
	if err := l.agentFiles(); err != nil {
		return err
	}
	return l.onEach(ctx, func(ctx context.Context, h HostState) error {
		if err := l.startRelay(ctx, h); err != nil {
			return err
		}
		return l.startAgent(ctx, h.Name)
	})
}

func (l *Lab) onEach(ctx context.Context, f func(context.Context, HostState) error) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, h := range l.Hosts() {
		group.Go(func() error { return f(ctx, h) })
	}
	return group.Wait()
}

func (l *Lab) startGuests(ctx context.Context, guests []Guest) error {
	group, groupCtx := errgroup.WithContext(ctx)
	var names []string
	for _, g := range guests {
		names = append(names, g.Name)
		state, err := l.recordGuest(g)
		if err != nil {
			return errors.Join(err, group.Wait())
		}
		group.Go(func() error { return l.startGuest(groupCtx, state) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return l.WaitBooted(ctx, names...)
}

// exitUsage is evenkeel's exit code for a command line that no waiting mends.
const exitUsage = 64

// setMode tells evenkeel the scenario's mode and policy, as an operator would,
// as soon as the cluster has a leader that can commit it.
func (l *Lab) setMode(ctx context.Context, s Scenario) error {
	if !l.manifestCopy().Agents {
		return nil
	}
	for _, argv := range modeCommands(s) {
		var last error
		err := poll(ctx, 500*time.Millisecond, "the cluster to take: "+strings.Join(argv, " "), func() (bool, error) {
			_, last = l.Exec(ctx, s.Hypervisors[0].Name, argv...)
			var exit *exec.ExitError
			if errors.As(last, &exit) && exit.ExitCode() == exitUsage {
				return false, errors.New("evenkeel does not know the command")
			}
			return last == nil, nil
		})
		if err != nil {
			return errors.Join(err, last)
		}
	}
	return nil
}

func modeCommands(s Scenario) [][]string {
	var commands [][]string
	if len(s.Policy) > 0 {
		var settings []string
		for key, value := range s.Policy {
			settings = append(settings, key+"="+value)
		}
		slices.Sort(settings)
		commands = append(commands, append([]string{"evenkeel", "policy", "set"}, settings...))
	}
	if s.Mode != "" {
		commands = append(commands, []string{"evenkeel", "mode", s.Mode, "--yes"})
	}
	return commands
}
