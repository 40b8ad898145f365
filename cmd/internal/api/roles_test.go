package api_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/api/apitest"
	"github.com/evenkeel/evenkeel/cmd/internal/certs"
	"github.com/evenkeel/evenkeel/cmd/internal/roles"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// operators issues a certificate for each role, called like the role.
func operators(t *testing.T, s *apitest.Site) {
	t.Helper()
	ca, err := certs.LoadCA(s.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range []roles.Role{roles.View, roles.Operate, roles.Admin} {
		if err := s.Issue(ca, certs.Request{Kind: cluster.KindOperator, Name: string(role), MemberID: uuid.NewString(), Role: role}); err != nil {
			t.Fatal(err)
		}
	}
}

// Each role does what it may at the leader, and, forwarded, at any other
// member; not more.
func TestRolesOfCertificates(t *testing.T) {
	s := site(t, apitest.Moved)
	operators(t, s)
	for _, at := range []string{apitest.HV2, apitest.HV1} { // the leader, and one that forwards
		for _, c := range []struct {
			who            string
			operate, admin bool
		}{{"view", false, false}, {"operate", true, false}, {"admin", true, true}, {"alice", true, false}, {"hv1", false, false}, {"w1", false, false}} {
			client := byCert(t, s, at, c.who)
			if _, err := client.Status(patience(t)); err != nil {
				t.Errorf("%s may not read: %v", c.who, err)
			}
			_, err := client.Pause(patience(t), api.PauseRequest{Act: api.Act{DryRun: true}, ForSeconds: 60})
			wantPermission(t, err, c.who, "Pause", "operate", c.operate)
			_, err = client.Resolve(patience(t), api.ResolveRequest{Move: "m-1", RunningOn: "hv2"})
			wantPermission(t, err, c.who, "Resolve", "admin", c.admin)
		}
	}
}

// wantPermission checks whether a call was refused for want of a role, and
// that the refusal names the role needed and the one had.
func wantPermission(t *testing.T, err error, who, method, need string, want bool) {
	t.Helper()
	refused := err != nil && strings.Contains(err.Error(), method+" needs the role "+need)
	if refused == want {
		t.Errorf("%s calls %s: %v; want it allowed: %v", who, method, err, want)
	}
	if !refused {
		return
	}
	if _, text := wantCause(t, err, api.CauseForbidden); !strings.Contains(text, who) || !strings.Contains(text, "has the role") {
		t.Errorf("%s: the refusal does not say who has which role: %s", who, text)
	}
}

// What a member forwards is judged by the role that it says its operator has.
func TestForwardedRoleIsNotRaised(t *testing.T) {
	s := site(t, apitest.Moved)
	operators(t, s)
	bob := base64.RawURLEncoding.EncodeToString([]byte(`{"kind":"operator","id":"uid:1000","name":"bob@hv1"}`))
	agent := base64.RawURLEncoding.EncodeToString([]byte(`{"kind":"agent","id":"` + apitest.HV1 + `","name":"hv1"}`))
	for _, c := range []struct{ cert, actor, role, method, want string }{
		{"hv1", bob, "view", "Pause", "Pause needs the role operate; bob@hv1 via hv1 has the role view"},
		{"hv1", bob, "operate", "Pause", `"done":true`},
		{"hv1", bob, "operate", "Finalize", "Finalize needs the role admin; bob@hv1 via hv1 has the role operate"},
		{"hv1", bob, "", "Finalize", "bob@hv1 via hv1 has the role operate"}, // a member from before there were roles
		{"hv1", bob, "root", "Pause", "header Ek-Role: "},
		{"hv1", agent, "admin", "Pause", "is of kind agent and has the role view"},
		{"hv1", "", "admin", "Pause", "is of kind agent and has the role view"}, // a role, but in nobody's name
		{"view", "", "admin", "Pause", "view has the role view"},                // a header is no certificate
	} {
		if answer := postAs(t, s, c.cert, c.actor, c.role, c.method); !strings.Contains(answer, c.want) {
			t.Errorf("%+v: answer %s", c, answer)
		}
	}
	if status := must(bySocket(t, s, "hv2").Status(patience(t)))(t); status.Paused == nil || status.Paused.By != "bob@hv1 via hv1" {
		t.Errorf("paused %+v; the record must name the member that vouches", status.Paused)
	}
}

// postAs calls the leader with headers of one's own making.
func postAs(t *testing.T, s *apitest.Site, cert, actor, role, method string) string {
	t.Helper()
	conn := dialAs(t, s, cert, "http/1.1")
	body := `{}`
	if method == "Pause" {
		body = `{"for_seconds":60}`
	}
	var req bytes.Buffer
	fmt.Fprintf(&req, "POST /evenkeel.v1.API/%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n", method, len(body))
	if actor != "" {
		fmt.Fprintf(&req, "Ek-Actor: %s\r\n", actor)
	}
	if role != "" {
		fmt.Fprintf(&req, "Ek-Role: %s\r\n", role)
	}
	req.WriteString("\r\n" + body)
	if _, err := conn.Write(req.Bytes()); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second)) // only bounds a hang
	answer, _ := io.ReadAll(conn)
	return string(answer)
}
