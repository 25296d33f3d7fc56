// Package integration tells the stories of users against real processes: the
// product pack unpacked and edited as WSO2's page "Publish through Multiple API
// Gateways" says, on the page's own ports, in a network namespace of its own.
package integration
