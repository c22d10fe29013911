package route

import "time"

// busy is the least lag that says that something waits: less is what a line in good health
// takes to carry a picture.
const busy = 150 * time.Millisecond
