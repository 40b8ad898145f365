package api

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Time is an instant in the JSON: RFC 3339 in UTC with milliseconds, or null
// for the zero value.
type Time struct{ time.Time }

func timeOf(t cluster.Time) Time { return Time{t.Std()} }

const timeFormat = "2006-01-02T15:04:05.000Z07:00"

// MarshalJSON implements json.Marshaler.
func (t Time) MarshalJSON() ([]byte, error) {
	if t.IsZero() {
		return []byte("null"), nil
	}
	return json.Marshal(t.UTC().Format(timeFormat))
}

// UnmarshalJSON implements json.Unmarshaler.
func (t *Time) UnmarshalJSON(data []byte) error {
	var text *string
	if err := json.Unmarshal(data, &text); err != nil {
		return fmt.Errorf("time: %w", err)
	}
	if text == nil {
		*t = Time{}
		return nil
	}
	parsed, err := time.Parse(time.RFC3339Nano, *text)
	if err != nil {
		return fmt.Errorf("time: %w", err)
	}
	*t = Time{parsed.UTC()}
	return nil
}

// seconds rounds to a millisecond: what ages are worth.
func seconds(d time.Duration) float64 { return d.Round(time.Millisecond).Seconds() }

// secondsOrNull is null for a duration that is not known.
func secondsOrNull(d time.Duration) *float64 {
	if d <= 0 {
		return nil
	}
	s := d.Seconds()
	return &s
}
