package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/agent/procfs"
	"github.com/evenkeel/evenkeel/bpf"
	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/config"
	"github.com/evenkeel/evenkeel/cmd/internal/doctor"
	"github.com/evenkeel/evenkeel/cmd/internal/ui"
)

// diagnosis is the answer of `evenkeel doctor`.
type diagnosis struct {
	APIVersion string           `json:"apiVersion"`
	Kind       string           `json:"kind"`
	Failed     bool             `json:"failed"`
	Items      []doctor.Finding `json:"items"`
}

func (a *app) doctor() *cobra.Command {
	path := config.DefaultPath
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Can this host run evenkeeld, can VMs move, and if not, what is to be done?",
		Long: `Looks at this host as evenkeeld would: configuration, certificates, kernel,
capabilities, the probe (which is really loaded), libvirt and its VMs' vCPU
threads, disk, ports, clocks. Run it as root. Ends with 1 if anything fails.

With --vm or --pairs it asks the cluster instead which VMs could run where, by
what hosts and VMs were read to be; with --vm it ends with 3 if that is nowhere.
With --try both hosts do all that a move takes but the migration itself: the
target's hypervisor is asked about the CPU, the source's libvirt dials the
target's. Nothing moves; it ends with 5 if something stands against the move.`,
		Example: `  sudo evenkeel doctor
  sudo evenkeel doctor --config ./agent.yaml --json
  evenkeel doctor --pairs           # how many VMs could go from each host to each other
  evenkeel doctor --vm db-03        # where it could run, and why not elsewhere
  evenkeel doctor --try db-03 hv2`,
	}
	var fit fitQuestion
	cmd.Args = func(_ *cobra.Command, args []string) error { return fit.check(args) }
	cmd.Flags().StringVar(&path, "config", path, "the host's configuration, a `FILE`")
	cmd.Flags().StringVar(&fit.vm, "vm", "", "where could this `VM` run?")
	cmd.Flags().BoolVar(&fit.pairs, "pairs", false, "how many VMs could go from each host to each other?")
	cmd.Flags().BoolVar(&fit.try, "try", false, "try a move of VM to HOST up to the migration itself")
	cmd.Flags().StringVar(&fit.act.Reason, "reason", "", "with --try: `TEXT` for those who read the record")
	cmd.RunE = a.verb(func(ctx context.Context, args []string) error {
		if asked, err := fit.asked(ctx, a, args); asked {
			return err
		}
		findings := doctor.Examine(ctx, doctor.Patient{
			ConfigPath: path, Proc: procfs.Host(), Probe: probe, Members: a.members, VMs: a.vmsAt, Settings: a.settingsAt, Now: time.Now,
		})
		d := diagnosis{api.Version, "Diagnosis", doctor.Failed(findings), findings}
		if err := a.print(d, func(w *ui.Writer) { diagnosisText(w, findings) }, failedChecks(findings)); err != nil {
			return err
		}
		if d.Failed {
			return exits{exitFailed, errSilent}
		}
		return nil
	})
	return cmd
}

// probe loads the measuring programs and takes them out again. Without the one
// for block I/O there is still QEMU's account of it.
func probe() ([]bpf.Feature, error) {
	p, err := bpf.Open(bpf.Options{MaxThreads: 1})
	if err != nil {
		return nil, err
	}
	features := p.Features()
	if err := p.Close(); err != nil {
		return nil, err
	}
	b, err := bpf.OpenBlock(bpf.BlockOptions{MaxVMs: 1, MaxFlights: 1})
	if err != nil {
		return append(features, bpf.Feature{Name: "block", Why: err.Error()}), nil
	}
	return append(features, b.Features()...), b.Close()
}

// members asks the daemon on this host for the cluster's members.
func (a *app) members(ctx context.Context, socket string) ([]api.Peer, error) {
	list, err := askHere(ctx, a, socket, (*api.Client).Peers)
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}

// vmsAt asks it for the cluster's VMs.
func (a *app) vmsAt(ctx context.Context, socket string) ([]api.VM, error) {
	list, err := askHere(ctx, a, socket, (*api.Client).VMs)
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}

// settingsAt asks it for the cluster's settings.
func (a *app) settingsAt(ctx context.Context, socket string) (*api.Settings, error) {
	return askHere(ctx, a, socket, (*api.Client).Settings)
}

// askHere asks the daemon on this host, whatever else the command talks to.
func askHere[T any](ctx context.Context, a *app, socket string, question func(*api.Client, context.Context) (T, error)) (T, error) {
	client, err := api.Dial(api.Target{Socket: socket})
	if err != nil {
		return *new(T), err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	return question(client, ctx)
}

func diagnosisText(w *ui.Writer, findings []doctor.Finding) {
	tones := map[doctor.Verdict]ui.Tone{doctor.Pass: ui.Good, doctor.Warn: ui.Warn, doctor.Fail: ui.Bad, doctor.Skip: ui.Faint}
	rows := make([][]ui.Cell, 0, len(findings))
	for _, f := range findings {
		rows = append(rows, []ui.Cell{ui.Toned(tones[f.Verdict], string(f.Verdict)), ui.Text(f.Check), ui.Text(f.Reason)})
		if f.Fix != "" {
			rows = append(rows, []ui.Cell{ui.Text(" "), ui.Text(" "), ui.Text("fix: " + f.Fix)})
		}
	}
	w.Table([]ui.Column{{Title: ""}, {Title: "CHECK"}, {Title: "FINDING"}}, rows)
}

func failedChecks(findings []doctor.Finding) []string {
	var out []string
	for _, f := range findings {
		if f.Verdict == doctor.Fail {
			out = append(out, f.Check)
		}
	}
	return out
}
