package libvirt

import (
	"encoding/xml"
	"errors"
	"io"
	"io/fs"
	"path"
	"regexp"
	"strings"
)

// owned says which VMs of this host other software moves, as far as VMs do not
// say it themselves.
type owned struct {
	by     map[string]string // by UUID or name
	all    string            // owns every VM here: its own list cannot be read
	clouds bool              // CloudStack's agent runs here
}

// cloudNames are the names that CloudStack gives its VMs.
var cloudNames = regexp.MustCompile(`^(i-[0-9]+-[0-9]+-[A-Za-z0-9-]+|[rsv]-[0-9]+-[A-Za-z0-9-]+)$`)

func (o owned) of(uuid, name string) string {
	switch {
	case o.by[uuid] != "":
		return o.by[uuid]
	case o.by[name] != "":
		return o.by[name]
	case o.clouds && cloudNames.MatchString(name):
		return "CloudStack"
	}
	return o.all
}

// Bounds of what is read of others' files.
const (
	maxCIB       = 64 << 20
	maxResources = 10_000
)

// cibFile is where Pacemaker keeps its cluster's configuration.
const cibFile = "var/lib/pacemaker/cib/cib.xml"

// owned looks for managers that leave no notes in a VM's definition.
func (s *Survey) owned() owned {
	f := s.host.qemus
	o := owned{by: map[string]string{}}
	running := f.managers()
	o.clouds = running["cloudstack-agent"]
	if !running["pacemakerd"] {
		return o
	}
	text, err := readSmall(f.proc.FS(), cibFile, maxCIB)
	if err != nil {
		o.all = word("Pacemaker, which runs here and whose list of VMs cannot be read (" + err.Error() + ")")
		return o
	}
	files, err := virtualDomains(text)
	if err != nil {
		o.all = word("Pacemaker, which runs here and whose list of VMs cannot be read (" + err.Error() + ")")
		return o
	}
	for _, file := range files {
		name, uuid, err := namesIn(f.proc.FS(), file)
		if err != nil {
			// The resource's file is not here, or cannot be read: by habit it has the
			// VM's name, and a VM that we cannot name may be any.
			o.by[strings.TrimSuffix(path.Base(file), ".xml")] = "Pacemaker"
			if !errors.Is(err, fs.ErrNotExist) {
				o.all = word("Pacemaker, whose VM in " + file + " cannot be told (" + err.Error() + ")")
			}
			continue
		}
		for _, key := range []string{name, uuid} {
			if key != "" {
				o.by[key] = "Pacemaker"
			}
		}
	}
	return o
}

// managers are the processes that move VMs and leave no notes in them.
func (f finder) managers() map[string]bool {
	out := map[string]bool{}
	pids, err := f.proc.PIDs()
	if err != nil {
		return out
	}
	for _, pid := range pids {
		p, err := f.proc.Process(pid)
		if err != nil {
			continue
		}
		switch p.Comm {
		case "pacemakerd":
			out[p.Comm] = true
		case "java", "jsvc":
			if args, err := f.proc.Cmdline(pid); err == nil && strings.Contains(strings.Join(args, " "), "com.cloud.agent.AgentShell") {
				out["cloudstack-agent"] = true
			}
		}
	}
	return out
}

// virtualDomains lists the definitions' files that Pacemaker's resources of the
// agent VirtualDomain name.
func virtualDomains(cib string) ([]string, error) {
	dec := xml.NewDecoder(strings.NewReader(cib))
	var files []string
	inside := 0 // depth within a primitive of that kind, 0 outside
	for {
		tok, err := dec.Token()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return files, nil
			}
			return nil, err
		}
		switch t := tok.(type) {
		case xml.StartElement:
			switch {
			case inside > 0:
				inside++
			case (t.Name.Local == "primitive" || t.Name.Local == "template") && attr(t, "type") == "VirtualDomain":
				inside = 1
			}
			if file := attr(t, "value"); inside > 0 && t.Name.Local == "nvpair" && attr(t, "name") == "config" && file != "" {
				if files = append(files, file); len(files) > maxResources {
					return nil, errors.New("too many resources")
				}
			}
		case xml.EndElement:
			if inside > 0 {
				inside--
			}
		}
	}
}

func attr(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// namesIn reads a VM's name and UUID from the file of its definition.
func namesIn(root fs.FS, file string) (name, uuid string, err error) {
	if !strings.HasPrefix(file, "/") || !fs.ValidPath(relative(path.Clean(file))) {
		return "", "", errors.New("no absolute path")
	}
	text, err := readSmall(root, relative(path.Clean(file)), maxXML)
	if err != nil {
		return "", "", err
	}
	var dom struct {
		Name string `xml:"name"`
		UUID string `xml:"uuid"`
	}
	if err := xml.Unmarshal([]byte(text), &dom); err != nil {
		return "", "", err
	}
	return strings.TrimSpace(dom.Name), strings.ToLower(strings.TrimSpace(dom.UUID)), nil
}
