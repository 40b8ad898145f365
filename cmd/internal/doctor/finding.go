package doctor

import "fmt"

// Verdict is how a check came out.
type Verdict string

// The verdicts.
const (
	Pass Verdict = "PASS"
	Warn Verdict = "WARN" // it works, but less well or less safely
	Fail Verdict = "FAIL"
	Skip Verdict = "SKIP" // could not be looked at; the reason says why
)

// Finding is what a check found.
type Finding struct {
	Check   string  `json:"check"`
	Verdict Verdict `json:"verdict"`
	Reason  string  `json:"reason"`
	Fix     string  `json:"fix"` // "" for what is well
}

func pass(format string, args ...any) Finding {
	return Finding{Verdict: Pass, Reason: fmt.Sprintf(format, args...)}
}

func skip(format string, args ...any) Finding {
	return Finding{Verdict: Skip, Reason: fmt.Sprintf(format, args...)}
}

func warn(fix, format string, args ...any) Finding {
	return Finding{Verdict: Warn, Reason: fmt.Sprintf(format, args...), Fix: fix}
}

func fail(fix, format string, args ...any) Finding {
	return Finding{Verdict: Fail, Reason: fmt.Sprintf(format, args...), Fix: fix}
}

// Failed says whether anything failed.
func Failed(findings []Finding) bool {
	for _, f := range findings {
		if f.Verdict == Fail {
			return true
		}
	}
	return false
}
