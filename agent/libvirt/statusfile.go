package libvirt

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
)

// migrationInStatus reads from libvirt's own status file of a running VM
// (RUNDIR/qemu/NAME.xml, written before a job takes effect and after it ends)
// whether a migration job runs: <domstatus>...<job async='migration out'/>.
// It is an internal file, but the only source that no hung QEMU can block;
// the same question over the socket waits for the VM's job lock. A file that
// is not there or not ours to read answers no.
func (f finder) migrationInStatus(name string) (direction string, err error) {
	file := f.statusFile(name)
	if file == "" {
		return "", nil
	}
	text, err := readSmall(f.proc.FS(), file, maxXML+maxXML/2)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return migrationJob(text)
}

// The two directions as libvirt writes them.
const (
	migrationIn  = "migration in"
	migrationOut = "migration out"
)

func migrationJob(status string) (string, error) {
	dec := xml.NewDecoder(strings.NewReader(status))
	for depth := 0; ; {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return "", nil
		}
		if err != nil {
			return "", fmt.Errorf("libvirt's status file: %w", err)
		}
		switch t := tok.(type) {
		case xml.StartElement:
			if depth == 0 && t.Name.Local != "domstatus" {
				return "", fmt.Errorf("libvirt's status file begins with <%s>, want <domstatus>", clip(t.Name.Local, 32))
			}
			if depth == 1 && t.Name.Local == "job" {
				return migrationAttr(t), nil
			}
			depth++
		case xml.EndElement:
			depth--
		}
	}
}

func migrationAttr(job xml.StartElement) string {
	for _, a := range job.Attr {
		if a.Name.Local == "async" && (a.Value == migrationIn || a.Value == migrationOut) {
			return a.Value
		}
	}
	return ""
}

// readSmall reads a file of at most limit bytes.
func readSmall(fsys fs.FS, name string, limit int64) (string, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return "", err
	}
	if int64(len(data)) > limit {
		return "", fmt.Errorf("/%s is larger than %d bytes", name, limit)
	}
	return string(data), nil
}
