package api

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
	"github.com/evenkeel/evenkeel/scheduler/rebalancer"
)

// VMRule is what an operator lets evenkeel do with one VM by itself.
type VMRule struct {
	Mode                  cluster.Mode `json:"mode"`                     // off, recommend or auto; "" for the cluster's
	MovesPerDay           int          `json:"moves_per_day"`            // 0: the cluster's setting
	DowntimePerDaySeconds float64      `json:"downtime_per_day_seconds"` // 0: the cluster's setting
	Quiet                 []string     `json:"quiet"`                    // its own quiet hours
	QuietFrom             Time         `json:"quiet_from"`               // those in force or next to come; null: not worked out
	QuietUntil            Time         `json:"quiet_until"`              //
	Since                 Time         `json:"since"`
	By                    string       `json:"by"`
	Reason                string       `json:"reason"`
	Text                  string       `json:"text"` // the same in words
}

// VMRuleRequest changes what evenkeel may do with one VM by itself. What is ""
// stays as it is; default gives it back to the cluster.
type VMRuleRequest struct {
	Act
	VM             string `json:"vm"`                         // name or UUID
	Mode           string `json:"mode,omitempty"`             // off, recommend, auto or default
	MovesPerDay    string `json:"moves_per_day,omitempty"`    // a number or default
	DowntimePerDay string `json:"downtime_per_day,omitempty"` // like 500ms, or default
	// Quiet are its own quiet hours, like `daily 01:00-02:30 Europe/Berlin`, in
	// place of those that it had; default alone: none.
	Quiet []string `json:"quiet,omitempty"`
}

// whatTheClusterSays stands for no rule of a VM's own.
const whatTheClusterSays = "default"

func vmRuleOf(s cluster.State, uuid string) *VMRule {
	r, ok := s.VMRule(uuid)
	if !ok {
		return nil
	}
	return &VMRule{r.Mode, r.MovesPerDay, r.DowntimePerDay.Seconds(), append([]string{}, r.Quiet.Windows...), timeOf(r.Quiet.From), timeOf(r.Quiet.Until), timeOf(r.Since), r.By, r.Text, r.String()}
}

func (s *Server) setVMRule(_ context.Context, v view, req *VMRuleRequest) (order, error) {
	uuid, err := findRuled(v.state, req.VM)
	if err != nil {
		return order{}, err
	}
	rule, _ := v.state.VMRule(uuid)
	if err := req.change(&rule, v.now.Std()); err != nil {
		return order{}, err
	}
	text := rule.String()
	if text == "" {
		text = "what holds for the cluster"
	}
	return order{
		body: cluster.SetVMRule{VM: uuid, Mode: rule.Mode, MovesPerDay: rule.MovesPerDay, DowntimePerDay: rule.DowntimePerDay, Quiet: rule.Quiet.Windows, Text: req.Reason},
		text: fmt.Sprintf("%s: %s", vmNames(v.state).of(uuid), text),
	}, nil
}

// findRuled finds a VM, also one that no host reports any more but that has a
// rule.
func findRuled(s cluster.State, name string) (string, error) {
	if _, ok := s.VMRule(name); ok {
		return name, nil
	}
	return findVM(s, name)
}

// change puts what the request says into the rule.
func (req *VMRuleRequest) change(rule *cluster.VMRule, now time.Time) error {
	if req.Empty() {
		return invalid("say what to change: mode, moves_per_day, downtime_per_day or quiet")
	}
	if err := req.hush(rule, now); err != nil {
		return err
	}
	switch req.Mode {
	case "":
	case whatTheClusterSays:
		rule.Mode = ""
	case string(cluster.ModeOff), string(cluster.ModeRecommend), string(cluster.ModeAuto):
		rule.Mode = cluster.Mode(req.Mode)
	default:
		return invalid("mode %.40q; it is one of off, recommend, auto, default", req.Mode)
	}
	if err := orDefault(req.MovesPerDay, &rule.MovesPerDay, strconv.Atoi); err != nil {
		return invalid("moves_per_day %.40q is no number from 1 to 1000; `default` stands for the setting vm_moves_per_day, and mode off for none at all", req.MovesPerDay)
	}
	if err := orDefault(req.DowntimePerDay, &rule.DowntimePerDay, time.ParseDuration); err != nil {
		return invalid("downtime_per_day %.40q is no time above 0; write it like 500ms or 2s, or `default` for the setting vm_downtime_per_day", req.DowntimePerDay)
	}
	return nil
}

// Empty says that the request changes nothing.
func (req *VMRuleRequest) Empty() bool {
	return req.Mode == "" && req.MovesPerDay == "" && req.DowntimePerDay == "" && len(req.Quiet) == 0
}

// hush puts the quiet hours into the rule. The zones must be known here: the
// leader may be another member, but it would not know more.
func (req *VMRuleRequest) hush(rule *cluster.VMRule, now time.Time) error {
	switch {
	case len(req.Quiet) == 0:
		return nil
	case len(req.Quiet) == 1 && req.Quiet[0] == whatTheClusterSays:
		rule.Quiet.Windows = nil
		return nil
	}
	windows := plainWindows(req.Quiet)
	if _, _, err := rebalancer.NextQuiet(windows, now); err != nil {
		return invalid("quiet hours: %v", err)
	}
	rule.Quiet.Windows = windows
	return nil
}

// orDefault reads a value above 0, unless nothing is said of it.
func orDefault[T int | time.Duration](text string, into *T, parse func(string) (T, error)) error {
	switch text {
	case "":
		return nil
	case whatTheClusterSays:
		*into = 0
		return nil
	}
	value, err := parse(text)
	if err == nil && value <= 0 {
		err = strconv.ErrRange
	}
	if err == nil {
		*into = value
	}
	return err
}

// SetVMRule says what evenkeel may do with one VM by itself.
func (c *Client) SetVMRule(ctx context.Context, req VMRuleRequest) (*Change, error) {
	return call[VMRuleRequest, Change](ctx, c, "SetVMRule", &req)
}
