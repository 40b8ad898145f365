package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestPolicySurvivesAFile(t *testing.T) {
	want := []Setting{{"enter", "10%"}, {"cooldown", "30m0s"}, {"bandwidth", "100MiB/s"}, {"off", "off"}, {"chains", "true"}, {"word", ""}}
	var names []string
	for _, s := range want {
		names = append(names, s.Name)
	}
	file := WritePolicy(want)
	got, err := ParsePolicy("policy.yaml", file, names, func(Setting) error { return nil })
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v\n%s\nbecame %v", err, file, got)
	}
}

// All that is wrong is told at once, each at its place.
func TestPolicyProblems(t *testing.T) {
	const file = `settings:
  enter: lots
  entr: 5%
  exit: [1, 2]
  cooldown:
  enter: 5%
rules: []
`
	_, err := ParsePolicy("p.yaml", []byte(file), []string{"enter", "exit", "cooldown"}, func(s Setting) error {
		if s.Value == "lots" {
			return fmt.Errorf("%q is not a share", s.Value)
		}
		return nil
	})
	var problems Problems
	if !errors.As(err, &problems) {
		t.Fatal(err)
	}
	for _, want := range []string{`"lots" is not a share`, "entr", "exit", "cooldown", "the key is already on line 2", "rules"} {
		if !strings.Contains(problems.Error(), want) {
			t.Errorf("%q is not said:\n%v", want, problems)
		}
	}
	for _, file := range []string{"", "rules: []\n", "settings: 3\n"} {
		if got, err := ParsePolicy("p.yaml", []byte(file), []string{"enter"}, func(Setting) error { return nil }); err == nil {
			t.Errorf("%q is taken as %v", file, got)
		}
	}
}

func FuzzParsePolicy(f *testing.F) {
	f.Add([]byte("settings:\n  enter: 10%\n  exit: \"5 %\"\n"))
	f.Add([]byte("settings: {enter: 1, enter: 2}\n"))
	f.Add([]byte("settings:\n  enter: &a b\n  exit: *a\n"))
	names := []string{"enter", "exit"}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := ParsePolicy("p.yaml", data, names, func(Setting) error { return nil })
		if err != nil {
			return
		}
		again, err := ParsePolicy("p.yaml", WritePolicy(got), names, func(Setting) error { return nil })
		if err != nil || !slices.Equal(got, again) {
			t.Errorf("%q\nbecame %q: %v", got, again, err)
		}
	})
}
