package api

import (
	"context"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
	"github.com/evenkeel/evenkeel/scheduler/rebalancer"
)

// QuietHours are the hours in which evenkeel moves nothing by itself.
type QuietHours struct {
	Windows []string `json:"windows"` // like mon-fri 22:00-06:00 Europe/Berlin
	By      string   `json:"by"`
	Reason  string   `json:"reason"`
	// From and Until are the hours in force or next to come; null while the
	// leader has not worked that out.
	From  Time `json:"from"`
	Until Time `json:"until"`
}

// QuietRequest sets the quiet hours, in place of all that there were.
type QuietRequest struct {
	Act
	Windows []string `json:"windows"` // like mon-fri 22:00-06:00 Europe/Berlin; none: no quiet hours
}

func quietOf(s cluster.State) *QuietHours {
	q := s.Quiet
	if len(q.Windows) == 0 {
		return nil
	}
	return &QuietHours{q.Windows, q.By, q.Text, timeOf(q.From), timeOf(q.Until)}
}

func (s *Server) setQuiet(_ context.Context, v view, req *QuietRequest) (order, error) {
	text := "no quiet hours"
	windows := plainWindows(req.Windows)
	if len(windows) > 0 {
		from, until, err := rebalancer.NextQuiet(windows, v.now.Std())
		if err != nil {
			return order{}, invalid("quiet hours: %v", err)
		}
		text = "quiet hours: " + strings.Join(windows, "; ") + "; next from " + from.Format(time.RFC3339) + " until " + until.Format(time.RFC3339)
	}
	return order{body: cluster.SetQuiet{Windows: windows, Text: req.Reason}, text: text}, nil
}

// plainWindows are quiet hours with one blank between their parts.
func plainWindows(given []string) []string {
	windows := make([]string, len(given))
	for i, w := range given {
		windows[i] = strings.Join(strings.Fields(w), " ")
	}
	return windows
}

// SetQuiet sets the hours in which evenkeel moves nothing by itself.
func (c *Client) SetQuiet(ctx context.Context, req QuietRequest) (*Change, error) {
	return call[QuietRequest, Change](ctx, c, "SetQuiet", &req)
}
