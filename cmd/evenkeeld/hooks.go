package main

import (
	"context"
	"log/slog"
	"path/filepath"

	"github.com/evenkeel/evenkeel/agent"
	"github.com/evenkeel/evenkeel/cmd/internal/config"
	"github.com/evenkeel/evenkeel/cmd/internal/webhook"
)

// moveHooks are the operator's programs and URLs beside the hold file.
func moveHooks(cfg config.Config, log *slog.Logger) agent.Hooks {
	return agent.Hooks{
		Dir: filepath.Join(filepath.Dir(cfg.HoldFile), "hooks"), Host: cfg.Host.Name, Logger: log,
		Call: func(ctx context.Context, url string, body []byte) ([]byte, error) {
			return webhook.Call(ctx, url, "evenkeel/"+version, body)
		},
	}
}
