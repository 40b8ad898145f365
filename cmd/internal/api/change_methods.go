package api

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

func invalid(format string, args ...any) error {
	return connect.NewError(connect.CodeInvalidArgument, fmt.Errorf(format, args...))
}

func notFound(format string, args ...any) error {
	return connect.NewError(connect.CodeNotFound, fmt.Errorf(format, args...))
}

func (s *Server) setMode(_ context.Context, v view, req *ModeRequest) (order, error) {
	switch req.Mode {
	case cluster.ModeOff, cluster.ModeRecommend, cluster.ModeAuto:
	default:
		return order{}, invalid("mode %.40q; it is one of off, recommend, auto", req.Mode)
	}
	body, text := cluster.SetMode{Mode: req.Mode, Text: req.Reason}, fmt.Sprintf("mode %s -> %s", v.state.Mode, req.Mode)
	if len(req.VMs)+len(req.Hosts) > 0 {
		body.Scope = &cluster.Scope{VMs: req.VMs, Hosts: req.Hosts}
		text += " for " + body.Scope.String()
	}
	return order{body: body, text: text}, nil
}

func (s *Server) pause(_ context.Context, v view, req *PauseRequest) (order, error) {
	const longest = 366 * 24 * time.Hour
	if math.IsNaN(req.ForSeconds) || req.ForSeconds < 1 || req.ForSeconds > longest.Seconds() {
		return order{}, invalid("for_seconds is %v; a pause lasts from 1 s to %v", req.ForSeconds, longest)
	}
	until := v.now.Add(time.Duration(req.ForSeconds * float64(time.Second)))
	what, host, vm, err := part(v.state, req.Host, req.VM)
	if err != nil {
		return order{}, err
	}
	return order{
		body: cluster.Pause{Until: until, Text: req.Reason, Host: host, VM: vm},
		text: what + "paused until " + until.Std().Format(time.RFC3339),
	}, nil
}

func (s *Server) resume(_ context.Context, v view, req *ResumeRequest) (order, error) {
	if req.Host != "" || req.VM != "" {
		return resumePart(v, req)
	}
	text := "nothing was paused or frozen"
	if st := statusOf(v.state, v.now); st.Paused != nil || st.Frozen != nil {
		text = "resumed; mode is " + string(v.state.Mode)
	}
	return order{body: cluster.Resume{Text: req.Reason}, text: text}, nil
}

func (s *Server) cancel(_ context.Context, v view, req *CancelRequest) (order, error) {
	m, err := findMove(v.state, req.Move)
	if err != nil {
		return order{}, err
	}
	text := fmt.Sprintf("%s of %s taken back", m.ID, m.VMName)
	if m.State != cluster.MoveOrdered {
		text = fmt.Sprintf("%s of %s will be aborted by %s", m.ID, m.VMName, v.state.HostName(m.Source))
	}
	return order{body: cluster.Cancel{Move: m.ID, Text: req.Reason}, text: text, move: m.ID}, nil
}

func (s *Server) resolve(_ context.Context, v view, req *ResolveRequest) (order, error) {
	m, err := findMove(v.state, req.Move)
	if err != nil {
		return order{}, err
	}
	on, where := "", "no host"
	if req.RunningOn != "none" {
		member, err := findMember(v.state, req.RunningOn)
		if err != nil {
			return order{}, err
		}
		on, where = member.ID, member.Name
	}
	return order{
		body: cluster.Resolve{Move: m.ID, RunningOn: on, Text: req.Reason},
		text: fmt.Sprintf("%s resolved: %s runs on %s", m.ID, m.VMName, where), move: m.ID,
	}, nil
}

func (s *Server) setSettings(_ context.Context, v view, req *SettingsRequest) (order, error) {
	if len(req.Set) == 0 {
		return order{}, invalid("set names no setting; there are: %s", strings.Join(SettingNames(), ", "))
	}
	next, err := turn(v.state.Settings, req.Set)
	if err != nil {
		return order{}, err
	}
	return order{body: cluster.SetSettings{Settings: next, Text: req.Reason}, text: changesBetween(v.state.Settings, next)}, nil
}

// findMove finds a move by its id or a unique beginning of it.
func findMove(s cluster.State, id string) (cluster.Move, error) {
	if m, ok := s.Move(id); ok {
		return m, nil
	}
	var found []cluster.Move
	if strings.HasPrefix(id, "m-") {
		for _, m := range s.MovesBackward() {
			if strings.HasPrefix(m.ID, id) {
				found = append(found, m)
			}
		}
	}
	switch len(found) {
	case 0:
		return cluster.Move{}, notFound("no move %.40q; `evenkeel history` lists them", id)
	case 1:
		return found[0], nil
	}
	return cluster.Move{}, invalid("%.40q is the beginning of %d moves, such as %s and %s", id, len(found), found[0].ID, found[1].ID)
}

// findMember finds a member by name or id.
func findMember(s cluster.State, host string) (cluster.Member, error) {
	if m, ok := s.MemberNamed(host); ok {
		return m, nil
	}
	if m, ok := s.Member(host); ok {
		return m, nil
	}
	var known []string
	for _, m := range s.Members() {
		known = append(known, m.Name)
	}
	slices.Sort(known)
	return cluster.Member{}, notFound("no host %.80q; there are: %s", host, strings.Join(known, ", "))
}
