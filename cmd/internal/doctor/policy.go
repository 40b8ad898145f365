package doctor

import (
	"context"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
)

// policy looks for settings of the cluster's that put VMs' data at risk.
func (v *visit) policy(ctx context.Context) Finding {
	if v.daemon != nil {
		return skip("no evenkeeld answers on this host")
	}
	set, err := v.Settings(ctx, v.cfg.Socket)
	if err != nil {
		return skip("the cluster's settings are not known: %v", err)
	}
	if set.Settings["allow_unsafe"] == true {
		return fail("evenkeel policy set allow_unsafe=false", "%s", api.UnsafeWarning)
	}
	return pass("no setting lets a move lose what a VM wrote")
}
