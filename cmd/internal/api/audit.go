package api

import (
	"context"
	"log/slog"

	"connectrpc.com/connect"

	"github.com/evenkeel/evenkeel/cmd/internal/roles"
)

// audit logs an attempt to change something, at each member that took the
// request: the one that was asked, and the leader if that is another. What was
// carried out stands in Raft's log as well, with the same actor.
func (s *Server) audit(ctx context.Context, who caller, method string, a *Act, change *Change, err error) {
	outcome := "done"
	attrs := []slog.Attr{
		slog.String("method", method), slog.String("who", who.actor.Name), slog.String("id", who.actor.ID),
		slog.String("role", string(who.role)), slog.Bool("forwarded", who.forwarded), slog.String("request", a.ID),
		slog.String("reason", a.Reason),
	}
	switch {
	case err != nil:
		outcome = connect.CodeOf(err).String()
		attrs = append(attrs, slog.String("err", message(err)))
	case a.DryRun:
		outcome = "tried only"
	}
	if change != nil {
		attrs = append(attrs, slog.String("what", change.Text))
	}
	s.log.LogAttrs(ctx, slog.LevelInfo, "audit", append(attrs, slog.String("outcome", outcome))...)
}

// auditRefusal logs who wanted more than the role allows. Reading is not
// audited.
func (s *Server) auditRefusal(ctx context.Context, who caller, method string, err error) {
	if who.actor.ID == "" || needs[method] == roles.View {
		return
	}
	s.audit(ctx, who, method, &Act{}, nil, err)
}
