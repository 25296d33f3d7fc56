// Package sluice is the domain of Sluice, an API management platform: publish an
// API once, and it is live, provably, on every gateway you chose.
//
// An [API] is edited by its owner as a working copy. A [Revision] is that API
// frozen, numbered and named by a digest. A [Deployment] puts one revision into
// one [Environment], a named group of gateways of type production, sandbox or
// hybrid, at one of its vhosts; every running [Gateway] of the environment
// serves it and proves that it does. One act of publishing is a [Publication].
//
// An [Application] holds a [ConsumerKey] for each key type and a [Subscription]
// to each API it calls; a [Tier] says how much it may call. A [User] has roles,
// belongs to an [Organization], and acts as an [Actor]; what was done is kept as
// an [AuditEntry], and what gateways must hear of is an [Event].
//
// The package holds types, the rules that need nothing but the value itself,
// and nothing else: no storage, no HTTP, no clock, and no import outside the
// standard library.
package sluice
