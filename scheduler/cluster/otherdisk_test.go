package cluster

import "testing"

// A host that was installed anew with the certificate that it had is told from
// the one that it was by its state directory; after a restoration all may come
// with empty disks.
func TestOtherDisk(t *testing.T) {
	w := newWorld(t)
	m := testHost(hv1)
	m.Disk = "d0000000-0000-4000-8000-000000000001"
	w.must(byHost(hv1), Announce{testCluster, m}) // nothing was known of its disk
	m.Incarnation = 2
	w.must(byHost(hv1), Announce{testCluster, m})
	for name, disk := range map[string]string{"another": "d0000000-0000-4000-8000-000000000002", "none": ""} {
		anew := m
		anew.Disk, anew.Incarnation = disk, 3
		w.refuses(CodeOtherDisk, byHost(hv1), Announce{testCluster, anew})
		if now, _ := w.s.Member(hv1); now.Disk != m.Disk || now.Incarnation != 2 {
			t.Errorf("%s disk: %+v", name, now)
		}
	}
	w.s = w.s.Revive("all is lost")
	m.Disk, m.Incarnation = "sda", 3
	w.refuses(CodeAbsurdFigure, byHost(hv1), Announce{testCluster, m})
	m.Disk = "d0000000-0000-4000-8000-000000000002"
	w.must(byHost(hv1), Announce{testCluster, m})
}
