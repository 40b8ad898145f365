package libvirt

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/evenkeel/evenkeel/agent/procfs"
)

// emptyFS has no files.
type emptyFS struct{}

func (emptyFS) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

const cib = `<cib><configuration><resources>
 <primitive id="ip" class="ocf" provider="heartbeat" type="IPaddr2"><instance_attributes><nvpair name="config" value="/not/a/vm.xml"/></instance_attributes></primitive>
 <group id="g"><primitive id="vm1" class="ocf" provider="heartbeat" type="VirtualDomain">
   <instance_attributes id="a"><nvpair id="b" name="hypervisor" value="qemu:///system"/><nvpair id="c" name="config" value="/etc/vms/db.xml"/></instance_attributes></primitive></group>
 <primitive id="vm2" class="ocf" provider="heartbeat" type="VirtualDomain"><instance_attributes><nvpair name="config" value="/etc/vms/elsewhere.xml"/></instance_attributes></primitive>
</resources></configuration></cib>`

func process(files fstest.MapFS, pid, comm, args string) {
	files["proc/"+pid+"/stat"] = &fstest.MapFile{Data: []byte(pid + " (" + comm + ") S 1 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 100 1 1 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n")}
	files["proc/"+pid+"/cmdline"] = &fstest.MapFile{Data: []byte(args)}
}

func TestOwners(t *testing.T) {
	base := func() fstest.MapFS {
		files := fstest.MapFS{
			cibFile:          {Data: []byte(cib)},
			"etc/vms/db.xml": {Data: []byte("<domain><name>db</name><uuid>11111111-1111-4111-8111-111111111111</uuid></domain>")},
		}
		process(files, "700", "pacemakerd", "pacemakerd")
		return files
	}
	for name, c := range map[string]struct {
		change  func(fstest.MapFS)
		uuid    string
		vm      string
		want    string
		nothing bool
	}{
		"by UUID":                     {uuid: "11111111-1111-4111-8111-111111111111", vm: "renamed", want: "Pacemaker"},
		"by name":                     {uuid: "u", vm: "db", want: "Pacemaker"},
		"its file is on another host": {uuid: "u", vm: "elsewhere", want: "Pacemaker"},
		"another VM":                  {uuid: "u", vm: "web", nothing: true},
		"Pacemaker does not run":      {change: func(f fstest.MapFS) { delete(f, "proc/700/stat") }, uuid: "u", vm: "db", nothing: true},
		"its list is missing":         {change: func(f fstest.MapFS) { delete(f, cibFile) }, uuid: "u", vm: "web", want: "cannot be read"},
		"its list is cut short":       {change: func(f fstest.MapFS) { f[cibFile] = &fstest.MapFile{Data: []byte(cib[:len(cib)/2])} }, uuid: "u", vm: "web", want: "cannot be read"},
		"a VM's file is no XML":       {change: func(f fstest.MapFS) { f["etc/vms/db.xml"] = &fstest.MapFile{Data: []byte("<domain")} }, uuid: "u", vm: "web", want: "cannot be told"},
		"CloudStack": {change: func(f fstest.MapFS) {
			process(f, "800", "java", "java\x00com.cloud.agent.AgentShell\x00")
		}, uuid: "u", vm: "i-2-13-VM", want: "CloudStack"},
		"a name like CloudStack's": {uuid: "u", vm: "i-2-13-VM", nothing: true},
	} {
		files := base()
		if c.change != nil {
			c.change(files)
		}
		s := NewSurvey(&Host{qemus: finder{proc: procfs.New(files), runDir: "/run/libvirt"}})
		got := s.owned().of(c.uuid, c.vm)
		if c.nothing != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: owned by %q, want %q", name, got, c.want)
		}
	}
}

func FuzzVirtualDomains(f *testing.F) {
	f.Add(cib)
	f.Add("<a><primitive type='VirtualDomain'><nvpair name='config' value='/x'/></primitive></a>")
	f.Fuzz(func(t *testing.T, text string) {
		files, err := virtualDomains(text)
		if len(files) > maxResources+1 {
			t.Errorf("%d files, %v", len(files), err)
		}
	})
}
