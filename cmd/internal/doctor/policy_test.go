package doctor

import (
	"context"
	"errors"
	"testing"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
)

func TestPolicy(t *testing.T) {
	var fails error
	set := &api.Settings{Settings: map[string]any{"allow_unsafe": false}}
	v := &visit{Patient: Patient{Settings: func(context.Context, string) (*api.Settings, error) { return set, fails }}}
	wants(t, v.policy(t.Context()), Pass, "no setting lets a move lose")
	set.Settings["allow_unsafe"] = true
	wants(t, v.policy(t.Context()), Fail, "the setting unsafe is true")
	fails = errors.New("no leader")
	wants(t, v.policy(t.Context()), Skip, "no leader")
	v.daemon = errors.New("nobody")
	wants(t, v.policy(t.Context()), Skip, "no evenkeeld answers")
}
