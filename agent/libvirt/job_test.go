package libvirt

import (
	"errors"
	"math"
	"testing"
	"time"

	golibvirt "github.com/digitalocean/go-libvirt"

	"github.com/evenkeel/evenkeel/agent"
)

func ullong(field string, v uint64) golibvirt.TypedParam {
	return golibvirt.TypedParam{Field: field, Value: *golibvirt.NewTypedParamValueUllong(v)}
}

func operation(op golibvirt.DomainJobOperation) golibvirt.TypedParam {
	return golibvirt.TypedParam{Field: golibvirt.DomainJobOperationStr, Value: *golibvirt.NewTypedParamValueInt(int32(op))}
}

func TestJobOf(t *testing.T) {
	params := []golibvirt.TypedParam{
		operation(golibvirt.DomainJobOperationStrMigrationOut),
		ullong(golibvirt.DomainJobTimeElapsed, 1500),
		ullong(golibvirt.DomainJobDowntime, 60),
		ullong(golibvirt.DomainJobDataTotal, 64<<20),
		ullong(golibvirt.DomainJobDataProcessed, 48<<20),
		ullong(golibvirt.DomainJobDataRemaining, 16<<20),
		ullong(golibvirt.DomainJobMemoryBps, 100e6),
		ullong(golibvirt.DomainJobMemoryDirtyRate, 1000),
		ullong(golibvirt.DomainJobMemoryPageSize, 4096),
		ullong(golibvirt.DomainJobMemoryIteration, 3),
		{Field: golibvirt.DomainJobAutoConvergeThrottle, Value: *golibvirt.NewTypedParamValueInt(30)},
		{Field: "future_text", Value: *golibvirt.NewTypedParamValueString("x")},
	}
	want := agent.Job{
		Elapsed: 1500 * time.Millisecond, Downtime: 60 * time.Millisecond,
		TotalBytes: 64 << 20, ProcessedBytes: 48 << 20, RemainingBytes: 16 << 20,
		BandwidthBytesPerSec: 100e6, DirtyBytesPerSec: 4096000, Iteration: 3, ThrottlePercent: 30,
	}
	if got, err := jobOf("job", params); err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	params[0] = operation(golibvirt.DomainJobOperationStrMigrationIn)
	want.Incoming = true
	if got, err := jobOf("job", params); err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
}

func TestJobOfOtherKinds(t *testing.T) {
	for _, op := range []golibvirt.DomainJobOperation{golibvirt.DomainJobOperationStrUnknown, golibvirt.DomainJobOperationStrSave, golibvirt.DomainJobOperationStrSnapshot} {
		if j, err := jobOf("job", []golibvirt.TypedParam{operation(op)}); !errors.Is(err, agent.ErrNoJob) {
			t.Errorf("operation %d: %+v, %v", op, j, err)
		}
	}
}

func TestJobOfNonsense(t *testing.T) {
	out := operation(golibvirt.DomainJobOperationStrMigrationOut)
	llong := func(field string, v int64) golibvirt.TypedParam {
		return golibvirt.TypedParam{Field: field, Value: *golibvirt.NewTypedParamValueLlong(v)}
	}
	for what, params := range map[string][]golibvirt.TypedParam{
		"negative bytes":     {out, llong(golibvirt.DomainJobDataTotal, -1)},
		"absurd bytes":       {out, ullong(golibvirt.DomainJobDataTotal, math.MaxUint64)},
		"absurd time":        {out, ullong(golibvirt.DomainJobTimeElapsed, math.MaxUint64)},
		"absurd downtime":    {out, ullong(golibvirt.DomainJobDowntime, math.MaxInt64)},
		"absurd dirty rate":  {out, ullong(golibvirt.DomainJobMemoryDirtyRate, 1<<37), ullong(golibvirt.DomainJobMemoryPageSize, 1<<30)},
		"absurd page size":   {out, ullong(golibvirt.DomainJobMemoryPageSize, 1<<31)},
		"absurd iteration":   {out, ullong(golibvirt.DomainJobMemoryIteration, 1<<40)},
		"negative operation": {operation(-1)},
	} {
		if j, err := jobOf("job", params); err == nil || errors.Is(err, agent.ErrNoJob) {
			t.Errorf("%s: %+v, %v", what, j, err)
		}
	}
}
