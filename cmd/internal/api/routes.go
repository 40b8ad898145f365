package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"connectrpc.com/connect"
)

// service begins the path of every method.
const service = "/evenkeel.v1.API/"

func procedure(method string) string { return service + method }

// routes lists every method.
func (s *Server) routes() http.Handler { return s.router().mux }

func (s *Server) router() *router {
	r, l := &router{mux: http.NewServeMux(), refusal: s.auditRefusal}, s.cfg.Limits
	read(s, r, "Status", l.Status, s.status)
	read(s, r, "Hosts", l.Read, s.hosts)
	read(s, r, "VMs", l.Read+l.Ask, s.vms)
	read(s, r, "Moves", l.Read, s.moves)
	read(s, r, "Decisions", l.Read, s.decisions)
	read(s, r, "GetSettings", l.Read, s.settings)
	read(s, r, "Rules", l.Read, s.rules)
	read(s, r, "Plan", l.Read, s.planNow)
	read(s, r, "Explain", l.Read, s.explain)
	read(s, r, "Fits", l.Read, s.fits)
	read(s, r, "Pairs", l.Read, s.pairs)
	read(s, r, "Stuck", l.Read, s.stuck)
	act(s, r, "SetMode", s.setMode)
	act(s, r, "Pause", s.pause)
	act(s, r, "Resume", s.resume)
	act(s, r, "Migrate", s.migrate)
	act(s, r, "Cordon", s.cordon)
	act(s, r, "Uncordon", s.uncordon)
	act(s, r, "Cancel", s.cancel)
	act(s, r, "Resolve", s.resolve)
	act(s, r, "SetSettings", s.setSettings)
	act(s, r, "SetVMRule", s.setVMRule)
	act(s, r, "SetRules", s.setRules)
	act(s, r, "SetQuiet", s.setQuiet)
	act(s, r, "AddMember", s.addMember)
	act(s, r, "RemoveMember", s.removeMember)
	act(s, r, "RevokeCertificate", s.revokeCertificate)
	act(s, r, "TransferLeader", s.transferLeader)
	act(s, r, "Finalize", s.finalize)
	act(s, r, "TakeLock", s.takeLock)
	act(s, r, "GiveLock", s.giveLock)
	s.streamSnapshot(r)
	s.streamRecord(r)
	handle(r, "Peers", s.peersOf)
	local(s, r, "Peer", s.peer)
	local(s, r, "LocalVMs", s.localVMs)
	local(s, r, "Past", s.past)
	local(s, r, "Replay", s.replay)
	handle(r, "Events", s.events)
	handle(r, "LastKnown", s.lastKnown)
	local(s, r, "Version", s.version)
	r.mux.HandleFunc("/", r.unknown)
	return r
}

type router struct {
	mux     *http.ServeMux
	methods []string
	refusal func(ctx context.Context, who caller, method string, err error) // is told of one
}

// add puts a method behind its permission. There is no other way in.
func (r *router) add(method string, h http.Handler) {
	r.methods = append(r.methods, method)
	r.mux.Handle(procedure(method), permitted(r.refusal, method, h))
}

// handle adds a method.
func handle[Req, Resp any](r *router, method string, f func(context.Context, caller, *Req) (*Resp, error)) {
	path := procedure(method)
	r.add(method, connect.NewUnaryHandlerSimple(path, func(ctx context.Context, req *Req) (*Resp, error) {
		who, err := whoIs(ctx)
		if err != nil {
			return nil, err
		}
		return f(ctx, who, req)
	}, handlerOptions()...))
}

// unknown answers every other path in the same form as a method's error.
func (r *router) unknown(w http.ResponseWriter, req *http.Request) {
	names := slices.Sorted(slices.Values(r.methods))
	err := connect.NewError(connect.CodeUnimplemented, fmt.Errorf("no method at %.80q; POST to %sMETHOD, which is one of %s", req.URL.Path, service, strings.Join(names, ", ")))
	_ = connect.NewErrorWriter(handlerOptions()...).Write(w, req, err) // the caller has gone
}

// local adds a method that this member answers alone.
func local[Req, Resp any](s *Server, r *router, method string, answer func(context.Context, view, *Req) (*Resp, error)) {
	handle(r, method, func(ctx context.Context, who caller, req *Req) (*Resp, error) {
		return answer(ctx, s.look(who, nil), req)
	})
}

// errNoHop ends a request that was forwarded to a member which does not lead.
var errNoHop = errors.New("forwarded to a member that does not lead")
