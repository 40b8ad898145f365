package cluster

import (
	"strings"
	"testing"
)

const (
	testCluster = "5b6a1f0e-8f4e-4a77-9d0c-1f7f3c8e2a11"
	testMember  = "0c9f7d52-3b1e-4c1a-8f66-7d2f0f6f9a02"
)

func TestIdentityRoundTrip(t *testing.T) {
	for _, kind := range []Kind{KindAgent, KindWitness, KindOperator} {
		want := Identity{ClusterID: testCluster, Kind: kind, MemberID: testMember}
		got, err := ParseIdentity(want.URI())
		if err != nil {
			t.Fatalf("parse %s: %v", want.URI(), err)
		}
		if got != want {
			t.Errorf("parse %s: got %+v, want %+v", want.URI(), got, want)
		}
	}
}

func TestParseIdentityRefuses(t *testing.T) {
	good := Identity{ClusterID: testCluster, Kind: KindAgent, MemberID: testMember}.URI()
	for name, c := range map[string]struct{ uri, want string }{
		"empty":           {"", "does not begin with"},
		"other scheme":    {"spiffe://" + testCluster + "/agent/" + testMember, "does not begin with"},
		"upper scheme":    {strings.Replace(good, "evenkeel", "EVENKEEL", 1), "does not begin with"},
		"no member":       {"evenkeel://" + testCluster + "/agent", "is not evenkeel://<cluster id>/<kind>/<member id>"},
		"trailing slash":  {good + "/", "is not evenkeel://<cluster id>/<kind>/<member id>"},
		"query":           {good + "?a=b", "member id"},
		"upper cluster":   {strings.Replace(good, testCluster, strings.ToUpper(testCluster), 1), "cluster id"},
		"cluster no UUID": {"evenkeel://prod/agent/" + testMember, "cluster id"},
		"unknown kind":    {strings.Replace(good, "agent", "root", 1), "kind"},
		"escaped kind":    {strings.Replace(good, "agent", "%61gent", 1), "kind"},
		"member no UUID":  {"evenkeel://" + testCluster + "/agent/hv1", "member id"},
		"user info":       {strings.Replace(good, "://", "://x@", 1), "cluster id"},
	} {
		t.Run(name, func(t *testing.T) {
			id, err := ParseIdentity(c.uri)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("ParseIdentity(%q) = %+v, %v; want an error with %q", c.uri, id, err, c.want)
			}
		})
	}
}

func FuzzParseIdentity(f *testing.F) {
	f.Add(Identity{ClusterID: testCluster, Kind: KindWitness, MemberID: testMember}.URI())
	f.Add("evenkeel://a/b/c")
	f.Fuzz(func(t *testing.T, uri string) {
		id, err := ParseIdentity(uri)
		if err != nil {
			return
		}
		if id.URI() != uri {
			t.Errorf("%q was accepted, but is written %q", uri, id.URI())
		}
	})
}
