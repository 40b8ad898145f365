// Package webhook delivers events to receivers over HTTP while this member
// leads.
//
//	notifier := webhook.New(webhook.Config{Webhooks: cfg.Webhooks, Events: memory, Replica: node, ...})
//	notifier.Run(ctx) // from winning the leadership until it is lost
//
// Each receiver has a goroutine of its own and gets its events one at a time,
// in order. How far it got is recorded in the State every few seconds, and the
// next leader goes on from there: an event comes at least once, and may come
// again. Its id is the same each time, so a receiver can tell.
//
// Requests are signed as the Standard Webhooks specification has it
// (github.com/standard-webhooks/standard-webhooks): HMAC-SHA256 over id,
// timestamp and body, so receivers verify with a library that exists.
package webhook
