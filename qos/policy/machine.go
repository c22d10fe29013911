package policy

import "time"

import "github.com/holdfast-live/holdfast/qos"

// Group is the life of one stream's routes of one group.
type Group struct{ cfg GroupConfig }

// NewGroup returns a group that has not started. chance is asked for numbers in [0, 1).
func NewGroup(cfg GroupConfig, chance func() float64) *Group { return &Group{cfg: cfg} }

func (g *Group) Start(now time.Time) []Effect                            { return nil }
func (g *Group) Dialed(now time.Time, route int, o qos.Outcome) []Effect { return nil }
func (g *Group) Broke(now time.Time, route int, cause string) []Effect   { return nil }
func (g *Group) Probed(now time.Time, route int, ok bool) []Effect       { return nil }
func (g *Group) Delivered(now time.Time, route int) []Effect             { return nil }
func (g *Group) Scores(now time.Time, scores []Score) []Effect           { return nil }
func (g *Group) Force(now time.Time, route int) []Effect                 { return nil }
func (g *Group) Reset(now time.Time, route int) []Effect                 { return nil }
func (g *Group) Tick(now time.Time) []Effect                             { return nil }
func (g *Group) Next() time.Time                                         { return time.Time{} }
func (g *Group) Status(now time.Time) GroupStatus                        { return GroupStatus{} }
