package main

import (
	"bytes"
	"fmt"
	"html"
	"time"

	"github.com/holdfast-live/holdfast/qos/policy"
)

// Dimensions of a plot in pixels.
const (
	left, width = 60, 900
	top, panel  = 40, 110
	gapBetween  = 24
	band        = 16
)

var (
	colours = []string{"#1f77b4", "#ff7f0e"}
	shades  = map[policy.State]string{
		policy.Idle: "#ffffff", policy.Dialing: "#ffe08a", policy.Up: "#4caf50",
		policy.BackingOff: "#f4a261", policy.Standby: "#cfd8dc", policy.Broken: "#d9534f",
	}
)

// canvas draws curves over time.
type canvas struct {
	bytes.Buffer
	lasts time.Duration
}

func (c *canvas) x(at time.Duration) float64 {
	return left + width*at.Seconds()/c.lasts.Seconds()
}

func (c *canvas) text(x, y float64, size int, s string) {
	fmt.Fprintf(c, `<text x="%.0f" y="%.0f" font-size="%d">%s</text>`+"\n", x, y, size, html.EscapeString(s))
}

// curve draws v, from 0 to max, in the panel whose top is y.
func (c *canvas) curve(points []point, y float64, colour string, most float64, v func(point) float64) {
	fmt.Fprintf(c, `<polyline fill="none" stroke="%s" stroke-width="1.5" points="`, colour)
	for _, p := range points {
		fmt.Fprintf(c, "%.1f,%.1f ", c.x(p.at), y+panel*(1-min(v(p)/most, 1)))
	}
	fmt.Fprint(c, "\"/>\n")
}

func (c *canvas) frame(y float64, title, above string) {
	fmt.Fprintf(c, `<rect x="%d" y="%.0f" width="%d" height="%d" fill="none" stroke="#999"/>`+"\n", left, y, width, panel)
	c.text(left, y-5, 12, title)
	c.text(20, y+10, 11, above)
	c.text(20, y+panel, 11, "0")
}

// plot returns an SVG of a run: scores, delivered rate and route states, and the delivered rate with a
// fixed delay.
func plot(t trace, p, fixed outcome) []byte {
	c := &canvas{lasts: t.length}
	height := top + 3*(panel+gapBetween) + 3*(band+6) + 30
	fmt.Fprintf(c, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif">`+"\n", left+width+20, height)
	fmt.Fprintln(c, `<rect width="100%" height="100%" fill="white"/>`)
	c.text(left, 18, 14, t.name+": "+t.about)
	y := float64(top)
	c.frame(y, "score (blue: a, orange: b); lines: decisions", "1")
	for i := range t.routes {
		c.curve(p.points, y, colours[i], 1, func(q point) float64 { return q.scores[i] })
	}
	for _, m := range p.decisions {
		fmt.Fprintf(c, `<line x1="%.1f" x2="%.1f" y1="%.0f" y2="%.0f" stroke="#555" stroke-dasharray="3,3"><title>%v %s</title></line>`+"\n",
			c.x(m.at), c.x(m.at), y, y+panel, m.at, html.EscapeString(m.reason.Cause+": "+m.reason.Text))
	}
	const over = 2 * bitrate
	y += panel + gapBetween
	c.frame(y, fmt.Sprintf("what arrived with the policy: %.1f MB lost, %d switches", p.lost/1e6, p.switches), "5 Mb/s")
	c.curve(p.points, y, "#2e7d32", over, func(q point) float64 { return q.rate })
	y += panel + gapBetween
	c.frame(y, fmt.Sprintf("what arrived with a fixed delay on the first route: %.1f MB lost", fixed.lost/1e6), "5 Mb/s")
	c.curve(fixed.points, y, "#8e24aa", over, func(q point) float64 { return q.rate })
	y += panel + 10
	for i, name := range []string{"a", "b"} {
		c.text(30, y+12, 12, name)
		c.states(p.points, y, i)
		y += band + 6
	}
	c.text(left, y+14, 11, "green up, yellow dialing, orange backing off, grey standby, red broken")
	c.text(left+width-60, y+14, 11, fmt.Sprintf("%.0f minutes", t.length.Minutes()))
	fmt.Fprintln(c, "</svg>")
	return c.Bytes()
}

// states draws the states of route i as a band.
func (c *canvas) states(points []point, y float64, i int) {
	for from := 0; from < len(points); {
		to := from
		for to < len(points) && points[to].states[i] == points[from].states[i] {
			to++
		}
		x := c.x(points[from].at - time.Second)
		fmt.Fprintf(c, `<rect x="%.1f" y="%.0f" width="%.1f" height="%d" fill="%s"/>`+"\n",
			x, y, c.x(points[to-1].at)-x, band, shades[points[from].states[i]])
		from = to
	}
}
