// Package config reads agent.yaml, the configuration of one host:
//
//	cfg, err := config.Load("/etc/evenkeel/agent.yaml")
//
// The file says what this host is and where it listens. What the fleet should
// do (policy, rules, mode) is not in it but in Raft, so that hosts cannot
// drift apart. Reading is strict: unknown keys, odd values and contradictions
// are errors, and all of them are told at once, each as a [Problem] with its
// line and what to do. deploy/agent.yaml.example explains every key.
package config
