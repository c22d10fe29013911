// Package policy decides for routes: which of a group carries a stream, when it is dialled
// again, how much of the stream it is sent. History and time go in, decisions come out with
// their reasons.
//
// It is pure: inputs carry the time, chance is an argument, effects come back as values.
package policy
