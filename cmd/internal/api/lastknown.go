package api

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"connectrpc.com/connect"

	"github.com/evenkeel/evenkeel/consensus"
	"github.com/evenkeel/evenkeel/consensus/definitions"
)

// LastKnownRequest asks a voter how a host's VMs were defined when the host was
// last heard.
type LastKnownRequest struct {
	Host string `json:"host"`         // name or member id
	VM   string `json:"vm,omitempty"` // name or UUID: this one alone, with its definition
}

// LastKnown is what a voter remembers of a host's VMs. It needs neither the host
// nor a leader.
type LastKnown struct {
	Head
	Member  string        `json:"member"`  // who remembers
	Host    string        `json:"host"`    // name
	HostID  string        `json:"host_id"` // member id
	HeardAt Time          `json:"heard_at"`
	Items   []LastKnownVM `json:"items"` // by name
}

// LastKnownVM is a VM that a host has, or had until a week ago.
type LastKnownVM struct {
	UUID   string `json:"uuid"`
	Name   string `json:"name"`
	KeptAt Time   `json:"kept_at"` // when this definition came
	LeftAt Time   `json:"left_at"` // since when the host has it no more, null if it has it
	SHA256 string `json:"sha256"`  // of the definition
	// XML is the definition in libvirt's words, without secrets; "" if all VMs
	// were asked for.
	XML string `json:"xml"`
}

// lastKnown answers from this member's files. A member that keeps none, or has
// not heard of the host, asks the leader.
func (s *Server) lastKnown(ctx context.Context, who caller, req *LastKnownRequest) (*LastKnown, error) {
	if req.Host == "" {
		return nil, invalid("no host is named")
	}
	seated := s.cfg.Replica.Health().Part != seatAgent
	if s.cfg.Definitions != nil && seated {
		out, err := s.recall(who, req)
		if err == nil || who.forwarded || !errors.Is(err, definitions.ErrNone) || s.cfg.Replica.Health().Leader == s.cfg.Self.MemberID {
			return out, saysNone(err)
		}
	}
	if who.forwarded {
		return nil, invalid("%s keeps no definitions", s.cfg.Name)
	}
	ctx, cancel := context.WithTimeout(ctx, pastTime)
	defer cancel()
	return forward[LastKnownRequest, LastKnown](ctx, s, who, "LastKnown", req, consensus.ErrNotLeader)
}

func saysNone(err error) error {
	switch {
	case errors.Is(err, definitions.ErrNone):
		return connect.NewError(connect.CodeNotFound, err)
	case errors.Is(err, fs.ErrNotExist):
		return notFound("its definition has not come yet")
	}
	return err
}

func (s *Server) recall(who caller, req *LastKnownRequest) (*LastKnown, error) {
	h, err := s.cfg.Definitions.Host(req.Host)
	if err != nil {
		return nil, err
	}
	out := &LastKnown{
		Head: s.look(who, nil).head("LastKnown"), Member: s.cfg.Name, Host: h.Name, HostID: h.ID, HeardAt: Time{h.At}, Items: []LastKnownVM{},
	}
	for _, vm := range h.VMs {
		if req.VM != "" && vm.VM != req.VM && vm.Name != req.VM {
			continue
		}
		item := LastKnownVM{UUID: vm.VM, Name: vm.Name, KeptAt: Time{vm.At}, LeftAt: Time{vm.Left}, SHA256: vm.Sum}
		if req.VM != "" {
			if item.XML, err = s.cfg.Definitions.Text(h.ID, vm.VM); err != nil {
				return nil, err
			}
		}
		out.Items = append(out.Items, item)
	}
	if req.VM != "" && len(out.Items) == 0 {
		return nil, notFound("no VM %.80q of host %s is remembered", req.VM, h.Name)
	}
	slices.SortFunc(out.Items, func(a, b LastKnownVM) int {
		return strings.Compare(a.Name+"\x00"+a.UUID, b.Name+"\x00"+b.UUID)
	})
	return out, nil
}

// LastKnown asks how a host's VMs were defined.
func (c *Client) LastKnown(ctx context.Context, req LastKnownRequest) (*LastKnown, error) {
	return call[LastKnownRequest, LastKnown](ctx, c, "LastKnown", &req)
}
