package roles

import "testing"

func TestCovers(t *testing.T) {
	order := []Role{"", View, Operate, Admin}
	for i, has := range order {
		for j, need := range order {
			if want := j > 0 && i >= j; has.Covers(need) != want {
				t.Errorf("%q covers %q: %v, want %v", has, need, !want, want)
			}
			if got := has.AtMost(need); got != order[min(i, j)] {
				t.Errorf("%q at most %q is %q", has, need, got)
			}
		}
	}
	if Admin.Covers("root") || Role("root").Covers(View) {
		t.Error("a role that does not exist covers or is covered")
	}
	for _, text := range []string{"", "Admin", "admin ", "root", "view\n"} {
		if r, err := Parse(text); err == nil {
			t.Errorf("%q is read as %q", text, r)
		}
	}
}

func TestGrants(t *testing.T) {
	ids := map[string]uint32{"evenkeel": 990, "evenkeel-admin": 991, "ops": 1200}
	gid := func(name string) (uint32, bool) { id, ok := ids[name]; return id, ok }
	own := Grants{Admin: []string{"carol"}, Operate: []string{"group:ops", "group:nowhere"}}
	for _, c := range []struct {
		name   string
		grants Grants
		who    Process
		want   Role
	}{
		{"root", Default(), Process{0, "root", nil}, Admin},
		{"root, though not named", own, Process{0, "root", nil}, Admin},
		{"root by name only", Default(), Process{1000, "", nil}, View},
		{"operator", Default(), Process{1000, "bob", []uint32{1000, 990}}, Operate},
		{"the highest counts", Default(), Process{1000, "bob", []uint32{990, 991}}, Admin},
		{"anybody else", Default(), Process{65534, "nobody", []uint32{65534}}, View},
		{"own list, by name", own, Process{1001, "carol", []uint32{1001}}, Admin},
		{"own list, by group", own, Process{1002, "dan", []uint32{1002, 1200}}, Operate},
		{"own list without view", own, Process{1000, "bob", []uint32{990}}, ""},
		{"a user called like a group", own, Process{1003, "ops", []uint32{1003}}, ""},
		{"nameless, and an empty group", Grants{View: []string{"group:nowhere"}}, Process{1004, "", []uint32{0}}, ""},
	} {
		if got := c.grants.Of(c.who, gid); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestCheckEntries(t *testing.T) {
	for _, name := range []string{"root", "group:evenkeel", "bob.b@corp.example", "_x"} {
		if _, err := CheckEntries(Admin, []string{name}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"", "group:", "a b", "a\x00", "everyone", "group:a:b", "-x"} {
		if i, err := CheckEntries(Admin, []string{"root", name}); err == nil || i != 1 {
			t.Errorf("%q: entry %d, %v; want it refused", name, i, err)
		}
	}
	if i, err := CheckEntries(View, make([]string, maxGrants+1)); err == nil || i != -1 {
		t.Errorf("entry %d, %v; want the list refused", i, err)
	}
	if _, err := CheckEntries(View, []string{Everyone}); err != nil {
		t.Error(err)
	}
}
