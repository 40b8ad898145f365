package config

import (
	"fmt"

	"github.com/evenkeel/evenkeel/cmd/internal/roles"
)

func (s *source) checkRoles(g roles.Grants) {
	for _, r := range []struct {
		role  roles.Role
		names []string
	}{{roles.Admin, g.Admin}, {roles.Operate, g.Operate}, {roles.View, g.View}} {
		key := "roles." + string(r.role)
		if s.bad(key) {
			continue
		}
		if i, err := roles.CheckEntries(r.role, r.names); err != nil {
			if i >= 0 {
				key = fmt.Sprintf("%s[%d]", key, i)
			}
			s.blame(key, `write names of users and groups, such as ["bob", "group:evenkeel"]`, "%v", err)
		}
	}
}
