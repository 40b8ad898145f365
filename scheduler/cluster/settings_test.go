package cluster

import (
	"testing"
	"time"
)

func TestSettingsRefuse(t *testing.T) {
	if err := DefaultSettings().Check(); err != nil {
		t.Fatalf("the defaults: %v", err)
	}
	for name, spoil := range map[string]func(s *Settings){
		"policy":          func(s *Settings) { s.Policy = "best" },
		"profile":         func(s *Settings) { s.Profile = "hasty" },
		"enter":           func(s *Settings) { s.Enter = 0 },
		"enter too high":  func(s *Settings) { s.Enter = Whole + 1 },
		"exit":            func(s *Settings) { s.Exit = 0 },
		"exit over enter": func(s *Settings) { s.Exit = s.Enter + 1 },
		"min_gain":        func(s *Settings) { s.MinGain = -1 },
		"freeze_silent":   func(s *Settings) { s.FreezeSilent = 0 },
		"bandwidth":       func(s *Settings) { s.Bandwidth = 1 },
		"max_downtime":    func(s *Settings) { s.MaxDowntime = time.Millisecond },
		"max_downtime 2m": func(s *Settings) { s.MaxDowntime = 2 * time.Minute },
		"parallel":        func(s *Settings) { s.Parallel = 17 },
		"parallel < 0":    func(s *Settings) { s.Parallel = -1 },
		"memory_ratio":    func(s *Settings) { s.MemoryRatio = Whole - 1 },
		"memory_ratio 5":  func(s *Settings) { s.MemoryRatio = 5 * Whole },
		"definitions":     func(s *Settings) { s.Definitions = "nowhere" },
		"post_copy":       func(s *Settings) { s.PostCopy, s.Parallel = true, 2 },
		"bandwidth < 0":   func(s *Settings) { s.Bandwidth = -1 },
		"cooldown":        func(s *Settings) { s.Cooldown = -1 },
		"claim_within":    func(s *Settings) { s.ClaimWithin = 0 },
		"start_window":    func(s *Settings) { s.StartWindow = time.Hour },
		"move_budget":     func(s *Settings) { s.MoveBudget = 0 },
		"evidence_within": func(s *Settings) { s.EvidenceWithin = 0 },
		"settle":          func(s *Settings) { s.Settle = 0 },
		"warm_up":         func(s *Settings) { s.WarmUp = time.Hour },
		"freeze_window":   func(s *Settings) { s.FreezeWindow = 0 },
		"per_host":        func(s *Settings) { s.PerHost = 0 },
		"per_cluster":     func(s *Settings) { s.PerCluster = 65 },
		"per_hour":        func(s *Settings) { s.PerHour = 0 },
		"per_day":         func(s *Settings) { s.PerDay = -1 },
		"freeze_after":    func(s *Settings) { s.FreezeAfter = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			set := DefaultSettings()
			spoil(&set)
			w.refuses(CodeAbsurdFigure, byOperator, SetSettings{Settings: set})
		})
	}
}

func TestModeAndPauseRefuse(t *testing.T) {
	w := newWorld(t)
	w.refuses(CodeAbsurdFigure, byOperator, SetMode{Mode: "manual"})
	w.refuses(CodeAbsurdFigure, byOperator, Pause{Until: w.s.Now})
	w.refuses(CodeAbsurdFigure, byOperator, Pause{Until: -1 << 63})
	w.refuses(CodeAbsurdFigure, byOperator, Pause{Until: w.s.Now.Add(367 * 24 * time.Hour)})
	w.must(byOperator, Pause{Until: w.s.Now.Add(time.Hour), Text: "maintenance"})
	if w.s.Paused.By != "ann" || w.s.Holding().Code != CodePaused {
		t.Errorf("%+v", w.s.Paused)
	}
}
