package consensus

import (
	"os"
	"path/filepath"
	"testing"
)

// A cluster is founded once in a directory, and never in somebody else's.
func TestFoundOnDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "raft")
	if already, err := Found(dir, testCluster, memberID(1), "10.0.0.1:7471"); err != nil || already {
		t.Fatalf("%v, %v", already, err)
	}
	if already, err := Found(dir, testCluster, memberID(1), "10.0.0.1:7471"); err != nil || !already {
		t.Errorf("again: %v, %v", already, err)
	}
	if _, err := Found(dir, testCluster, memberID(2), "10.0.0.2:7471"); err == nil {
		t.Error("another member's directory was taken")
	}
	foreign := t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, logFile), []byte("somebody's"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Found(foreign, testCluster, memberID(1), "10.0.0.1:7471"); err == nil {
		t.Error("a directory of nobody known was taken")
	}
	if data, err := os.ReadFile(filepath.Join(foreign, logFile)); err != nil || string(data) != "somebody's" {
		t.Errorf("the foreign file is %q, %v", data, err)
	}
}
