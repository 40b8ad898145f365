package sim

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Trace is what a VM asks for over time. When it ends it begins anew.
type Trace struct {
	Every time.Duration // of a sample
	CPU   []cluster.MilliCPU
}

// mean is what the VM asks for on average.
func (t *Trace) mean() cluster.MilliCPU {
	var sum cluster.MilliCPU
	for _, c := range t.CPU {
		sum += c
	}
	return sum / cluster.MilliCPU(len(t.CPU))
}

// Bounds of trace files.
const (
	maxTraceBytes = 64 << 20 // unpacked
	maxTraceLines = 20_000
	maxSamples    = 31 * 288 // a month
	maxSample     = 1 << 24  // MHz, MiB: beyond any host
)

// series is a line of a trace file.
type series struct {
	name    string
	samples []int32
}

// unpack gives a file's text, which may be compressed.
func unpack(file []byte) ([]byte, error) {
	if !bytes.HasPrefix(file, []byte{0x1f, 0x8b}) {
		if len(file) > maxTraceBytes {
			return nil, fmt.Errorf("it has %d bytes, at most %d are read", len(file), maxTraceBytes)
		}
		return file, nil
	}
	packed, err := gzip.NewReader(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(packed, maxTraceBytes+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxTraceBytes {
		return nil, fmt.Errorf("it unpacks to more than %d bytes", maxTraceBytes)
	}
	return text, nil
}

// decodeSeries reads a trace file, plain or compressed: a line a VM, its name and then
// whole numbers from 0 to most, as many in each line.
func decodeSeries(file []byte, most int64) ([]series, error) {
	text, err := unpack(file)
	if err != nil {
		return nil, err
	}
	var out []series
	names := map[string]bool{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 16*maxSamples)
	for n := 1; lines.Scan(); n++ {
		s, err := decodeLine(lines.Bytes(), most)
		switch {
		case err != nil:
			return nil, fmt.Errorf("line %d: %w", n, err)
		case names[s.name]:
			return nil, fmt.Errorf("line %d: %.80q has a line already", n, s.name)
		case n > maxTraceLines:
			return nil, fmt.Errorf("it has more than %d lines", maxTraceLines)
		case n > 1 && len(s.samples) != len(out[0].samples):
			return nil, fmt.Errorf("line %d: %d numbers, the first line has %d", n, len(s.samples), len(out[0].samples))
		}
		names[s.name] = true
		out = append(out, s)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w", len(out)+1, err)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("it has no lines; a line has a VM's name and its samples")
	}
	return out, nil
}

func decodeLine(line []byte, most int64) (series, error) {
	fields := bytes.Fields(line)
	if len(fields) < 2 || len(fields) > 1+maxSamples {
		return series{}, fmt.Errorf("%d words, must be a name and 1 to %d numbers", len(fields), maxSamples)
	}
	if len(fields[0]) > 256 {
		return series{}, fmt.Errorf("a name of %d bytes, at most 256 are read", len(fields[0]))
	}
	s := series{name: string(fields[0]), samples: make([]int32, len(fields)-1)}
	for i, f := range fields[1:] {
		v, err := strconv.ParseInt(string(f), 10, 32)
		if err != nil || v < 0 || v > most {
			return series{}, fmt.Errorf("sample %d: %.20q is no whole number from 0 to %d", i+1, f, most)
		}
		s.samples[i] = int32(v)
	}
	return s, nil
}

// size is a line of the list of VMs that goes with a trace.
type vmSize struct {
	vcpus  int
	mhz    int64 // of all vCPUs
	memory cluster.Bytes
}

// decodeSizes reads a list of VMs: a heading, then a line a VM: its number, its
// vCPUs, their MHz together, its memory in MiB.
func decodeSizes(file []byte) (map[string]vmSize, error) {
	text, err := unpack(file)
	if err != nil {
		return nil, err
	}
	_, rest, _ := bytes.Cut(text, []byte("\n"))
	if len(bytes.TrimSpace(rest)) == 0 {
		return nil, fmt.Errorf("it has no VMs; the first line is a heading, each other a VM")
	}
	lines, err := decodeSeries(rest, maxSample)
	if err != nil {
		return nil, err
	}
	out := map[string]vmSize{}
	for n, l := range lines {
		if len(l.samples) != 3 || l.samples[0] > 1024 {
			return nil, fmt.Errorf("line %d: a VM has 1 to 1024 vCPUs, MHz and MiB", n+2)
		}
		if l.samples[0] == 0 || l.samples[1] == 0 || l.samples[2] == 0 {
			continue // it was never provisioned; nothing of it can be played
		}
		out[l.name] = vmSize{int(l.samples[0]), int64(l.samples[1]), cluster.Bytes(l.samples[2]) * cluster.MiB}
	}
	return out, nil
}
