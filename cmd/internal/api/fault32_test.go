package api_test

import (
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/cmd/internal/api/apitest"
)

// Figures that cannot be are refused at the port, by the field's name, and the
// server goes on.
func TestFault32Requests(t *testing.T) {
	s := site(t, apitest.Moved)
	for _, c := range []struct{ method, body, message string }{
		{"Pause", `{"for_seconds":NaN}`, "invalid character 'N'"},
		{"Pause", `{"for_seconds":Infinity}`, "invalid character 'I'"},
		{"Pause", `{"for_seconds":1e400}`, "for_seconds"},
		{"Pause", `{"for_seconds":1e18}`, "a pause lasts from 1 s"},
		{"Pause", `{"for_seconds":-1}`, "a pause lasts from 1 s"},
		{"SetSettings", `{"set":{"enter":"NaN"}}`, "enter"},
		{"SetSettings", `{"set":{"enter":"Inf"}}`, "enter"},
		{"SetSettings", `{"set":{"enter":"-10%"}}`, "enter"},
		{"SetSettings", `{"set":{"per_host":"1000000000000000000"}}`, "per_host"},
		{"SetSettings", `{"set":{"per_host":"-1"}}`, "per_host"},
		{"SetSettings", `{"set":{"cooldown":"1e18s"}}`, "cooldown"},
		{"SetSettings", `{"set":{"bandwidth":"1000000000000000000GiB/s"}}`, "bandwidth"},
	} {
		status, answer := post(t, s, c.method, c.body)
		text, _ := answer["message"].(string)
		if status < 400 || status >= 500 || !strings.Contains(text, c.message) {
			t.Errorf("%s %s: HTTP %d, %.200q; want a refusal that names %q", c.method, c.body, status, text, c.message)
		}
	}
	goesOn(t, s)
}
