package api

import (
	"context"
	"fmt"
	"net/http"

	"connectrpc.com/connect"

	"github.com/evenkeel/evenkeel/cmd/internal/roles"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// needs is the role that each method needs. A method that is missing here is
// open to nobody.
var needs = map[string]roles.Role{
	"Status":      roles.View,
	"Hosts":       roles.View,
	"VMs":         roles.View,
	"Moves":       roles.View,
	"Decisions":   roles.View,
	"GetSettings": roles.View,
	"Rules":       roles.View,
	"Plan":        roles.View,
	"Explain":     roles.View,
	"Fits":        roles.View,
	"Pairs":       roles.View,
	"Stuck":       roles.View,
	"Peers":       roles.View,
	"Peer":        roles.View,
	"LocalVMs":    roles.View,
	"Version":     roles.View,
	"Past":        roles.View,
	"Replay":      roles.View,
	"Record":      roles.View,
	"Events":      roles.View,
	"LastKnown":   roles.View,

	"SetMode":        roles.Operate,
	"Pause":          roles.Operate,
	"Resume":         roles.Operate,
	"Cancel":         roles.Operate,
	"Migrate":        roles.Operate,
	"Cordon":         roles.Operate,
	"Uncordon":       roles.Operate,
	"SetSettings":    roles.Operate,
	"SetVMRule":      roles.Operate,
	"SetRules":       roles.Operate,
	"SetQuiet":       roles.Operate,
	"TransferLeader": roles.Operate,
	"TakeLock":       roles.Operate,
	"GiveLock":       roles.Operate,

	// An operator's word stands for evidence here: a wrong one starts a VM twice.
	"Resolve": roles.Admin,
	// Who may speak in the cluster, and in which version.
	"AddMember":    roles.Admin,
	"RemoveMember": roles.Admin,
	// Who may give orders at all.
	"RevokeCertificate": roles.Admin,
	"Finalize":          roles.Admin,
	// The State as a file has the hashes of tokens in it.
	"Snapshot": roles.Admin,
}

// permitted lets a request through to a method if the caller has the role, and
// tells of a refusal.
func permitted(refusal func(context.Context, caller, string, error), method string, h http.Handler) http.Handler {
	refuse := connect.NewErrorWriter(handlerOptions()...)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, err := permit(r.Context(), method)
		if err != nil {
			refusal(r.Context(), who, method, err)
			_ = refuse.Write(w, r, err) // the caller has gone
			return
		}
		h.ServeHTTP(w, r)
	})
}

func permit(ctx context.Context, method string) (caller, error) {
	who, err := whoIs(ctx)
	if err != nil {
		return who, err
	}
	need := needs[method]
	switch {
	case who.role.Covers(need):
		return who, nil
	case who.actor.Kind != cluster.KindOperator:
		return who, connect.NewError(connect.CodePermissionDenied, fmt.Errorf("%s needs the role %s; the certificate of %s is of kind %s and has the role %s: use an operator's, or the unix socket", method, need, who.actor.Name, who.actor.Kind, who.role))
	}
	return who, connect.NewError(connect.CodePermissionDenied, fmt.Errorf("%s needs the role %s; %s has the role %s", method, need, who.actor.Name, who.role))
}

// headerRole carries the role of the actor in headerActor.
const headerRole = "Ek-Role"

// forwardedRole is the role that a member says its operator has. It is taken
// as it is and never raised; a member from before there were roles says
// nothing, and passes on orders but no admin's.
func forwardedRole(text string) (roles.Role, error) {
	if text == "" {
		return roles.Operate, nil
	}
	role, err := roles.Parse(text)
	if err != nil {
		return "", fmt.Errorf("header %s: %w", headerRole, err)
	}
	return role, nil
}
