package main

import (
	"fmt"
	"strings"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/ui"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// disksText tells what a VM's disks do: by layer, since the layers' figures
// mean unlike things.
func disksText(b api.Block) string {
	var parts []string
	add := func(name string, f api.BlockFigures) {
		if f.RequestsPerSecond == 0 && f.Errors == 0 {
			return
		}
		text := fmt.Sprintf("%s %.1f/s", name, f.RequestsPerSecond)
		if f.BytesPerSecond > 0 {
			text += " " + ui.Bytes(int64(f.BytesPerSecond)) + "/s"
		}
		for _, l := range []struct {
			what    string
			seconds *float64
		}{{"queued", f.QueueSeconds}, {"device", f.DeviceSeconds}, {"device p99", f.DeviceP99Seconds}, {"in QEMU", f.GuestSeconds}} {
			if l.seconds != nil {
				text += fmt.Sprintf(", %s %s", l.what, ui.Seconds(*l.seconds))
			}
		}
		if f.Errors > 0 {
			text += fmt.Sprintf(", %d errors", f.Errors)
		}
		parts = append(parts, text)
	}
	add("read", b.Read)
	add("write", b.Write)
	add("flush", b.Flush)
	if len(parts) == 0 {
		parts = append(parts, "quiet")
	}
	return strings.Join(parts, "; ") + " (" + layerText(b) + ")"
}

func layerText(b api.Block) string {
	text := string(b.Backend) + " storage, measured by the host's block layer"
	if b.Layer == cluster.LayerQEMU {
		text = string(b.Backend) + " storage, measured by QEMU: means only"
		if b.Hidden != "" {
			text += "; the host's block layer does not see it: " + b.Hidden
		}
	}
	if b.Shared != "" {
		text += "; shared backend " + b.Shared + ": moving the VM would not make it faster"
	}
	return text
}

// memoryText tells what a VM's memory does.
func memoryText(m api.Memory) string {
	text := ui.Bytes(m.ResidentBytes) + " resident"
	if m.BalloonBytes != nil {
		text += ", balloon leaves " + ui.Bytes(*m.BalloonBytes)
	}
	if m.DirtyBytesPerSecond != nil {
		text += ", " + ui.Bytes(int64(*m.DirtyBytesPerSecond)) + "/s change"
	}
	if m.SwappedBytes > 0 {
		text += ", " + ui.Bytes(m.SwappedBytes) + " swapped out"
	}
	if m.MajorFaultsPerSecond > 0 {
		text += fmt.Sprintf(", %.1f major faults/s", m.MajorFaultsPerSecond)
	}
	return text
}
