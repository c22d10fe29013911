// Package policy decides for routes: which of a group carries a stream, when it is dialled again, and
// how much of the stream it is sent. Its input is history and time, its output decisions with their
// reasons.
//
// The package is pure: time and random numbers are arguments, and effects are returned as values.
package policy
