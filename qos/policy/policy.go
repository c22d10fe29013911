// Package policy makes the decisions about routes: which route of a group carries a stream, when a route is
// dialled again, and how much of the stream it is sent. It decides by measurements, history and time, and
// gives a reason for each decision.
//
// The package is pure: time and random numbers are arguments, and effects are returned as values.
package policy
