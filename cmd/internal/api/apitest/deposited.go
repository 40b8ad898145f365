package apitest

import (
	"fmt"
	"time"

	"github.com/evenkeel/evenkeel/consensus/definitions"
)

// deposited is what a voter remembers of host hv9, which is gone.
func deposited(dir string) (*definitions.Store, error) {
	const host = "99999999-9999-4999-8999-999999999999"
	heard := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) // as New begins
	store, err := definitions.Open(dir, func() time.Time { return heard })
	if err != nil {
		return nil, err
	}
	var marks []definitions.Mark
	var all []definitions.Definition
	for n, name := range []string{"web", "db"} {
		d, err := definitions.Pack(fmt.Sprintf("aaaaaaaa-0000-4000-8000-%012d", n), name, "<domain>\n  <name>"+name+"</name>\n</domain>\n")
		if err != nil {
			return nil, err
		}
		marks, all = append(marks, d.Mark), append(all, d)
	}
	if _, err := store.List(host, "hv9", marks); err != nil {
		return nil, err
	}
	return store, store.Keep(host, all)
}
