package cluster

import (
	"testing"
	"time"
)

const lost = "0000001f-0000-4000-8000-000000000000"

// A lost certificate is refused until its own end, and forgotten then.
func TestRevokeCertificate(t *testing.T) {
	w := newWorld(t)
	until := w.s.Now.Add(time.Hour)
	if w.s.Revoked(lost) {
		t.Fatal("revoked before anybody said so")
	}
	w.must(byOperator, RevokeCertificate{lost, "bob", until, "laptop in the train"})
	w.must(byOperator, RevokeCertificate{lost, "bob", until, "again"})
	if r := w.s.Revocations; !w.s.Revoked(lost) || len(r) != 1 || r[0].By != "ann" || r[0].Text != "again" {
		t.Fatalf("revoked %v: %+v", w.s.Revoked(lost), r)
	}
	w.wait(time.Hour)
	other := "0000002f-0000-4000-8000-000000000000"
	w.must(byOperator, RevokeCertificate{other, "eve", w.s.Now.Add(time.Hour), ""})
	if r := w.s.Revocations; len(r) != 1 || r[0].ID != other {
		t.Errorf("what is over is kept: %+v", r)
	}
}

// Members are removed, not revoked; agents revoke nobody; what has ended needs
// no revocation.
func TestRevokeRefuses(t *testing.T) {
	w := newWorld(t)
	until := w.s.Now.Add(time.Hour)
	w.refuses(CodeNotYours, byHost(hv1), RevokeCertificate{lost, "bob", until, ""})
	w.refuses(CodeHasVMs, byOperator, RevokeCertificate{hv1, "hv1", until, ""})
	w.refuses(CodeAbsurdFigure, byOperator, RevokeCertificate{"bob", "bob", until, ""})
	w.refuses(CodeAbsurdFigure, byOperator, RevokeCertificate{lost, "bob\n", until, ""})
	w.refuses(CodeAbsurdFigure, byOperator, RevokeCertificate{lost, "bob", w.s.Now.Add(100 * 366 * 24 * time.Hour), ""})
	w.must(byOperator, RevokeCertificate{lost, "bob", w.s.Now, ""})
	if len(w.s.Revocations) != 0 {
		t.Error("a certificate whose time is over was revoked")
	}
}
