package consensus

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/uuid"
)

// claim is the file that says whose data directory it is. It is written
// before anything else and replaced as a whole at every start.
type claim struct {
	Format      int    `json:"format"`
	Cluster     string `json:"cluster"`
	Member      string `json:"member"`
	Incarnation uint64 `json:"incarnation"` // how many times the daemon was started
	// Disk is drawn when the directory is made: a directory that was lost and
	// made anew for the same member has another one.
	Disk string `json:"disk,omitempty"`
}

// Start is one start of a member's daemon.
type Start struct {
	Incarnation uint64 // how many times it was started, this time included
	Disk        string // UUID of its data directory
}

const (
	claimFile     = "member.json"
	claimMaxBytes = 4096
	logFile       = "raft.db"
)

// Claim counts a start of the member in its data directory, fsynced. A directory that belongs to another
// member or cluster, or whose owner cannot be told, is refused and left as it
// is. A daemon that is no Raft member calls it too; Open does so itself.
func Claim(dir, clusterID, member string) (Start, error) {
	c, err := readClaim(dir, clusterID, member)
	if err != nil {
		return Start{}, err
	}
	c.Incarnation++
	if c.Disk == "" {
		c.Disk = uuid.NewString()
	}
	if err := c.write(dir); err != nil {
		return Start{}, fmt.Errorf("data directory %s: count this start: %w", dir, err)
	}
	return Start{c.Incarnation, c.Disk}, nil
}

// readClaim looks without writing.
func readClaim(dir, clusterID, member string) (claim, error) {
	path := filepath.Join(dir, claimFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return freshClaim(dir, clusterID, member)
	}
	if err != nil {
		return claim{}, fmt.Errorf("data directory: %w", err)
	}
	c, err := parseClaim(data)
	if err != nil {
		return claim{}, fmt.Errorf("%s: %w; restore the file from a backup, or move the directory away and let this member join anew with a new member id", path, err)
	}
	if c.Member != member || c.Cluster != clusterID {
		return claim{}, fmt.Errorf("%s belongs to member %s of cluster %s, this is member %s of cluster %s: point stateDir elsewhere, or use that member's certificate", path, c.Member, c.Cluster, member, clusterID)
	}
	return c, nil
}

// freshClaim is for a directory that nobody has claimed. Raft files in it are
// somebody's memory, and we cannot tell whose.
func freshClaim(dir, clusterID, member string) (claim, error) {
	for _, name := range []string{logFile, "snapshots"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return claim{}, fmt.Errorf("%s holds %s but no %s: whose it is cannot be told; restore %s or move the directory away", dir, name, claimFile, claimFile)
		}
	}
	return claim{Format: 1, Cluster: clusterID, Member: member}, nil
}

func parseClaim(data []byte) (claim, error) {
	if len(data) > claimMaxBytes {
		return claim{}, fmt.Errorf("%d bytes, at most %d", len(data), claimMaxBytes)
	}
	var c claim
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return claim{}, err
	}
	if _, err := uuid.Parse(c.Disk); c.Disk != "" && err != nil {
		return claim{}, fmt.Errorf("disk %.40q: %w", c.Disk, err)
	}
	if c.Format != 1 || c.Member == "" || c.Cluster == "" || c.Incarnation == 0 {
		return claim{}, fmt.Errorf("format %d, member %q, cluster %q, incarnation %d: not what evenkeeld writes", c.Format, c.Member, c.Cluster, c.Incarnation)
	}
	return c, nil
}

// write replaces the file so that after a crash either the old or the new one
// is there, whole.
func (c claim) write(dir string) error {
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return replaceFile(dir, claimFile, data)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
