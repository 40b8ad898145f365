package api_test

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/api/apitest"
	"github.com/evenkeel/evenkeel/cmd/internal/certs"
)

// A lost operator's certificate is refused with its next request, on a
// connection that is open already, by the leader and by every other member.
func TestRevokedOperator(t *testing.T) {
	s := site(t, apitest.Moved)
	operators(t, s)
	admin := byCert(t, s, apitest.HV2, "admin")
	clients := map[string]*api.Client{"at the leader": byCert(t, s, apitest.HV2, "operate"), "at another member": byCert(t, s, apitest.HV1, "operate")}
	for where, c := range clients {
		if _, err := c.Status(patience(t)); err != nil {
			t.Fatalf("%s, before: %v", where, err)
		}
	}
	id := memberOf(t, s, "operate")
	change, err := admin.RevokeCertificate(patience(t), api.RevokeCertificateRequest{
		Act: api.Act{Reason: "laptop in the train"}, Operator: id, Name: "operate", NotAfter: api.Time{Time: s.Group.Now().Add(time.Hour)},
	})
	if err != nil || !change.Done {
		t.Fatalf("%+v, %v", change, err)
	}
	for where, c := range clients {
		if _, err := c.Status(patience(t)); err == nil || !strings.Contains(err.Error(), "is revoked") {
			t.Errorf("%s, afterwards: %v", where, err)
		}
	}
	if _, err := admin.RevokeCertificate(patience(t), api.RevokeCertificateRequest{Operator: memberOf(t, s, "admin"), Name: "admin", NotAfter: api.Time{Time: s.Group.Now().Add(time.Hour)}}); err == nil {
		t.Error("an admin may lock himself out")
	}
	_, err = byCert(t, s, apitest.HV2, "alice").RevokeCertificate(patience(t), api.RevokeCertificateRequest{Operator: id, Name: "operate", NotAfter: api.Time{Time: s.Group.Now().Add(time.Hour)}})
	wantPermission(t, err, "alice", "RevokeCertificate", "admin", false)
}

// memberOf reads the id in a certificate.
func memberOf(t *testing.T, s *apitest.Site, who string) string {
	t.Helper()
	data, err := os.ReadFile(s.File(who + ".pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	id, err := certs.ParseIdentity(cert)
	if err != nil {
		t.Fatal(err)
	}
	return id.MemberID
}
