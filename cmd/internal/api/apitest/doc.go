// Package apitest has fleets to ask about: real States, made by applying real
// commands at fixed times, and a Replica of one State for api.Server.
//
//	group := apitest.NewGroup(apitest.Suffering(nil), apitest.HV2)
//	server, err := api.Listen(api.Config{Replica: group.Replica(apitest.HV2), Now: group.Now, ...})
//
// The times are fixed, so what is printed of a fleet is the same every time.
package apitest
