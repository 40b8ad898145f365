//go:build !evenkeel_next

package cluster

// CurrentLevel is the highest feature level that this binary knows.
const CurrentLevel uint32 = 1

// laterBodies are the commands that came after level 1.
var laterBodies []Body

// Later are the State's fields that came after level 1. They are left
// out of its encoding until a command of their level has set them.
type Later struct{}
