// Package api is how operators and the members' servers speak to evenkeeld:
// the JSON they exchange, the server on the unix socket and on HTTPS, and the
// client.
//
//	server, err := api.Listen(api.Config{Replica: node, Local: agent, ...})
//	err = server.Run(ctx)
//
//	client, err := api.Dial(api.Target{Socket: "/run/evenkeel/agent.sock"})
//	status, err := client.Status(ctx)
//
// Every method is one POST of a JSON object to /evenkeel.v1.API/METHOD, so
// curl can do all that the client does. The names in the JSON are a contract:
// fields are added, never renamed; docs/reference/json.md lists them.
//
// Any member takes any request. What needs the leader is forwarded to it, at
// most once; reads that find no leader answer from this replica and say so.
package api
