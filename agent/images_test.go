package agent_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/agent"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

const disk = "/images/web.qcow2"

// images are a host's, by path.
type images struct {
	mu    sync.Mutex
	files map[string]agent.FileID
	made  uint64
	fails error // of making
	stuck int   // times that deleting fails
}

func newImages(files ...string) *images {
	i := &images{files: map[string]agent.FileID{}}
	for _, f := range files {
		i.put(f)
	}
	return i
}

func (i *images) put(path string) {
	i.made++
	i.files[path] = agent.FileID{Device: 1, Inode: i.made}
}

func (i *images) replace(path string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.put(path)
}

func (i *images) has(path string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	_, ok := i.files[path]
	return ok
}

func (i *images) Make(_ context.Context, path, format string, size cluster.Bytes) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if _, ok := i.files[path]; ok || format != "qcow2" || size != cluster.GiB {
		return fmt.Errorf("make %s (%s, %d bytes): there already %v", path, format, size, ok)
	}
	if i.fails == nil {
		i.put(path)
	}
	return i.fails
}

func (i *images) Delete(_ context.Context, path string) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.stuck > 0 {
		i.stuck--
		return errors.New("libvirt is busy")
	}
	delete(i.files, path)
	return nil
}

func (i *images) Identify(path string) (agent.FileID, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	id, ok := i.files[path]
	if !ok {
		return id, fs.ErrNotExist
	}
	return id, nil
}

// copying is two hosts, and a VM with a disk of the first one's own.
type copying struct {
	*stage
	survey *survey // of the source
	a, b   *images
}

func copyingStage(st *stage, policy cluster.CopyStorage) copying {
	set := st.state().Settings
	set.CopyStorage = policy
	st.must(cluster.Command{Level: 1, Actor: cluster.Actor{Kind: cluster.KindOperator, ID: "op", Name: "ann"}, Body: cluster.SetSettings{Settings: set}})
	a, b := likeHosts()
	a.need.Disks = []cluster.Disk{{Target: "vda", Kind: "file", Point: "/", Format: "qcow2"}}
	a.need.Copies = []cluster.DiskCopy{{Target: "vda", Path: disk, Format: "qcow2", Size: cluster.GiB, Used: cluster.GiB / 2}}
	a.rooms = []cluster.Room{{Dir: "/images", Free: 10 * cluster.GiB}}
	b.rooms = slices.Clone(a.rooms)
	st.describe(a, b)
	c := copying{st, a, newImages(disk), newImages()}
	st.images = map[string]agent.Images{hvA: c.a, hvB: c.b}
	return c
}

// ends says where the disk is in the end, and waits for whoever deletes it.
func (c copying) ends(t *testing.T, atA, atB bool) {
	t.Helper()
	c.play(2 * time.Minute)
	if c.a.has(disk) != atA || c.b.has(disk) != atB {
		t.Errorf("the disk is at the source: %v, at the target: %v; want %v and %v", c.a.has(disk), c.b.has(disk), atA, atB)
	}
}

func TestDisksGoAlong(t *testing.T) {
	manual := func(o *cluster.Order) { o.Trigger = cluster.TriggerOperator }
	story(t, "the disk is copied, and the old one deleted when the move is done", func(t *testing.T, st *stage) {
		c := copyingStage(st, cluster.CopyStorageMove)
		c.a.stuck = 1 // it is tried again
		st.start(hvA, nil)
		st.start(hvB, nil)
		st.order()
		expect(t, st.play(20*time.Second), cluster.MoveDone, "")
		c.ends(t, false, true)
		if asked := st.world.asked; !slices.Equal(asked.CopyDisks, []string{"vda"}) {
			t.Errorf("libvirt was asked for %+v", asked)
		}
	})
	story(t, "the old one stays by policy, and evenkeel does not move by itself what could not come back", func(t *testing.T, st *stage) {
		c := copyingStage(st, cluster.CopyStorageKeep)
		st.start(hvA, nil)
		st.start(hvB, nil)
		st.orderWith(manual)
		expect(t, st.play(20*time.Second), cluster.MoveDone, "")
		c.ends(t, true, true)
	})
	story(t, "a migration that fails leaves nothing at the target", func(t *testing.T, st *stage) {
		c := copyingStage(st, cluster.CopyStorageMove)
		st.world.script = func(context.Context, *world) error { return errors.New("unable to connect to server") }
		st.start(hvA, nil)
		st.start(hvB, nil)
		st.order()
		expect(t, st.play(20*time.Second), cluster.MoveFailed, "")
		c.ends(t, true, false)
	})
	story(t, "the target's daemon finds after a restart what it has made", func(t *testing.T, st *stage) {
		c := copyingStage(st, cluster.CopyStorageMove)
		st.world.script = endless
		st.start(hvA, nil)
		st.start(hvB, nil)
		st.order()
		st.play(10 * time.Second)
		st.stops[hvB]()
		if !c.b.has(disk) {
			t.Error("there is no image while the migration runs")
		}
		m := st.play(time.Minute + 20*time.Second) // beyond its budget
		if m.State == cluster.MoveDone {
			t.Errorf("move ended %s", m.State)
		}
		st.start(hvB, nil)
		c.ends(t, true, false)
	})
	story(t, "what lies at the target is not written over", func(t *testing.T, st *stage) {
		c := copyingStage(st, cluster.CopyStorageMove)
		c.b.replace(disk)
		st.start(hvA, nil)
		st.start(hvB, nil)
		st.order()
		expect(t, st.play(20*time.Second), cluster.MoveVetoed, cluster.CodeDiskInTheWay)
		c.ends(t, true, true)
	})
	story(t, "a file that has taken the image's name since is left alone", func(t *testing.T, st *stage) {
		c := copyingStage(st, cluster.CopyStorageMove)
		st.world.script = func(context.Context, *world) error {
			c.b.replace(disk)
			return errors.New("link cut")
		}
		st.start(hvA, nil)
		st.start(hvB, nil)
		st.order()
		expect(t, st.play(20*time.Second), cluster.MoveFailed, "")
		c.ends(t, true, true)
	})
	story(t, "a disk that was resized since is not copied into the old size", func(t *testing.T, st *stage) {
		c := copyingStage(st, cluster.CopyStorageMove)
		c.survey.need.Copies = slices.Clone(c.survey.need.Copies)
		c.survey.need.Copies[0].Size *= 2
		st.start(hvA, nil)
		st.start(hvB, nil)
		st.order()
		expect(t, st.play(20*time.Second), cluster.MoveReleased, cluster.CodeStalePlan)
		c.ends(t, true, false)
	})
	story(t, "where libvirt makes no image nothing moves", func(t *testing.T, st *stage) {
		c := copyingStage(st, cluster.CopyStorageMove)
		c.b.fails = errors.New("no storage pool")
		st.start(hvA, nil)
		st.start(hvB, nil)
		st.order()
		expect(t, st.play(20*time.Second), cluster.MoveVetoed, cluster.CodeNoStoragePool)
		c.ends(t, true, false)
	})
	story(t, "no room is left at the target", func(t *testing.T, st *stage) {
		c := copyingStage(st, cluster.CopyStorageMove)
		b, ok := st.surveys[hvB].(*survey)
		if !ok {
			t.Fatal("no survey")
		}
		b.rooms = []cluster.Room{{Dir: "/images", Free: cluster.MiB}}
		st.start(hvA, nil)
		st.start(hvB, nil)
		st.order()
		expect(t, st.play(20*time.Second), cluster.MoveVetoed, cluster.CodeNoStorageRoom)
		c.ends(t, true, false)
	})
}

// A VM that is here keeps its disk, whatever the State says of the move.
func TestDisksOfAVMThatIsHere(t *testing.T) {
	story(t, "an unknown outcome that a person called failed", func(t *testing.T, st *stage) {
		c := copyingStage(st, cluster.CopyStorageMove)
		st.world.script = func(_ context.Context, w *world) error {
			w.set(hvB, agent.RunStateRunning) // both run it
			return errors.New("lost")
		}
		st.start(hvA, nil)
		st.start(hvB, nil)
		st.order()
		m := st.play(2 * time.Minute)
		if m.State != cluster.MoveUnknown {
			t.Fatalf("move ended %s", m.State)
		}
		st.must(cluster.Command{
			Level: 1, Actor: cluster.Actor{Kind: cluster.KindOperator, ID: "op", Name: "ann"},
			Body: cluster.Resolve{Move: m.ID, RunningOn: hvA, Text: "so I say"},
		})
		c.ends(t, true, true)
		st.world.set(hvB, agent.RunStateAbsent)
		c.ends(t, true, false)
	})
}
