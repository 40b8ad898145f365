package lab

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestRemoveStateLeavesForeignFilesAlone(t *testing.T) {
	dir := t.TempDir()
	precious := filepath.Join(dir, "thesis.tex")
	if err := os.WriteFile(precious, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := removeState(dir); err == nil || !strings.Contains(err.Error(), "left alone") {
		t.Errorf("removeState = %v, want a refusal", err)
	}
	if _, err := os.Stat(precious); err != nil {
		t.Error(err)
	}
}

func TestRemoveStateTakesALab(t *testing.T) {
	for _, files := range [][]string{{}, {manifestName}, {manifestName + ".new"}, {manifestName, "hosts/hv1/x"}} {
		dir := filepath.Join(t.TempDir(), "state")
		if err := os.MkdirAll(filepath.Join(dir, "hosts/hv1"), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if err := os.WriteFile(filepath.Join(dir, f), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if len(files) == 0 { // killed before it wrote anything
			if err := os.RemoveAll(filepath.Join(dir, "hosts")); err != nil {
				t.Fatal(err)
			}
		}
		if err := removeState(dir); err != nil {
			t.Errorf("%q: %v", files, err)
		}
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: the directory is still there", files)
		}
		if err := removeState(dir); err != nil {
			t.Errorf("%q, again: %v", files, err)
		}
	}
}

func TestOneChangeAtATime(t *testing.T) {
	dir := t.TempDir()
	unlock, err := lockDir(dir, lockPatience)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockDir(dir, 50*time.Millisecond); err == nil || !strings.Contains(err.Error(), "another evenkeel-lab") {
		t.Errorf("a second lock: %v", err)
	}
	unlock()
	unlock, err = lockDir(dir, lockPatience)
	if err != nil {
		t.Fatalf("after unlock: %v", err)
	}
	unlock()
}

func TestManifestFromOutsideIsChecked(t *testing.T) {
	for name, text := range map[string]string{
		"garbage":     "{",
		"version":     `{"version": 99, "name": "lab"}`,
		"name":        `{"version": 1, "name": "../../etc"}`,
		"wrong types": `{"version": "one"}`,
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, manifestName)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readManifest(dir); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want an error that names the file", name, err)
		}
	}
	if _, err := readManifest(t.TempDir()); !errors.Is(err, ErrNoLab) {
		t.Errorf("no manifest: %v, want %v", err, ErrNoLab)
	}
}

func TestOptionsRefuseDirectoriesThatHostsHide(t *testing.T) {
	for _, dir := range []string{"/run/lab", "/var/run/lab", "/var/lib/libvirt/lab", "/etc/evenkeel", "/", "/tmp/a,b"} {
		o := Options{StateDir: dir}
		if err := o.fillDefaults(); err == nil {
			t.Errorf("state directory %s was accepted", dir)
		}
	}
	o := Options{Name: "../x"}
	if err := o.fillDefaults(); err == nil {
		t.Error("lab name ../x was accepted")
	}
}
