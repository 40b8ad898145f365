package main

import (
	"os"
	"path/filepath"
)

// bpftrace's own tools, in the form that Debian's 0.17 runs everywhere.
// runqlat.bt includes <linux/sched.h> for one constant, which needs the
// kernel's headers; biolatency.bt hooks functions that newer kernels inline.
// Hooks, maps and what is done per event are theirs.
const (
	runqlatScript = `
tracepoint:sched:sched_wakeup, tracepoint:sched:sched_wakeup_new { @qtime[args->pid] = nsecs; }
tracepoint:sched:sched_switch
{
	if (args->prev_state == 0) { @qtime[args->prev_pid] = nsecs; }
	$ns = @qtime[args->next_pid];
	if ($ns) { @usecs = hist((nsecs - $ns) / 1000); }
	delete(@qtime[args->next_pid]);
}
END { clear(@qtime); }
`
	biolatencyScript = `
tracepoint:block:block_rq_issue { @start[args->dev, args->sector] = nsecs; }
tracepoint:block:block_rq_complete
/@start[args->dev, args->sector]/
{
	@usecs = hist((nsecs - @start[args->dev, args->sector]) / 1000);
	delete(@start[args->dev, args->sector]);
}
END { clear(@start); }
`
)

func writeScripts() (string, error) {
	dir, err := os.MkdirTemp("", "evenkeel-bench-")
	if err != nil {
		return "", err
	}
	for name, text := range map[string]string{"runqlat.bt": runqlatScript, "biolatency.bt": biolatencyScript} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	return dir, nil
}
