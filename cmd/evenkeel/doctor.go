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
		Short: "Can this host run evenkeeld, and if not, what is to be done?",
		Long: `Looks at this host as evenkeeld would: configuration, certificates, kernel,
capabilities, the probe (which is really loaded), libvirt and its VMs' vCPU
threads, disk, ports, clocks. Run it as root. Ends with 1 if anything fails.`,
		Example: `  sudo evenkeel doctor
  sudo evenkeel doctor --config ./agent.yaml --json`,
		Args: noArgs,
	}
	cmd.Flags().StringVar(&path, "config", path, "the host's configuration, a `FILE`")
	cmd.RunE = a.verb(func(ctx context.Context, _ []string) error {
		findings := doctor.Examine(ctx, doctor.Patient{
			ConfigPath: path, Proc: procfs.Host(), Probe: probe, Members: a.members, Now: time.Now,
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
	client, err := api.Dial(api.Target{Socket: socket})
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	list, err := client.Peers(ctx)
	if err != nil {
		return nil, err
	}
	return list.Items, nil
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
